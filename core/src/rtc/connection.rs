// SKELETON: the settled signatures (bodies follow within minutes)
impl Connection {
    pub fn new(now: Instant, config: Config) -> Self;
    pub fn state(&self) -> ConnectionState;
    pub fn counters(&self) -> Counters;
    pub fn local_ufrags(&self) -> impl Iterator<Item = &str>;
    pub fn accepts(&self, local: SocketAddr, remote: SocketAddr, datagram: &[u8]) -> bool;
    pub fn remote_tracks(&self) -> impl Iterator<Item = &RemoteTrack>;
    pub fn channel(&self, channel: DataChannelId) -> Option<&ChannelInfo>;   // open or opening
    pub fn buffered_amount(&mut self, channel: DataChannelId) -> Option<usize>; // unacknowledged + waiting bytes

    pub fn add_local_address(&mut self, now: Instant, address: SocketAddr);  // = add_local_candidate(Host)
    pub fn add_local_candidate(&mut self, now: Instant, candidate: LocalCandidate);
    pub fn finish_local_addresses(&mut self, now: Instant);

    pub fn handle_signal(&mut self, now: Instant, signal: Signal);
    pub fn handle_datagram(&mut self, now: Instant, local: SocketAddr, remote: SocketAddr, datagram: &[u8]);
    pub fn handle_timeout(&mut self, now: Instant);

    pub fn attach_track(&mut self, now: Instant, track: OutboundTrack);
    pub fn detach_track(&mut self, now: Instant, track: &TrackId);
    pub fn replace_track(&mut self, now: Instant, old: &TrackId, new: Option<TrackId>) -> Result<(), ReplaceTrackError>;
    pub fn write_frame(&mut self, now: Instant, track: &TrackId, frame: &EncodedFrame) -> Result<(), WriteFrameError>;
    pub fn request_keyframe(&mut self, now: Instant, track: &TrackId) -> Result<(), RequestKeyframeError>;

    pub fn open_channel(&mut self, now: Instant, options: DataChannelOptions) -> Result<DataChannelId, OpenChannelError>;
    // Ok: exactly one Output::SendDone{request} follows. Err: none does.
    pub fn send(&mut self, now: Instant, request: RequestId, channel: DataChannelId, message: ChannelMessage) -> Result<(), DataChannelError>;
    pub fn close_channel(&mut self, now: Instant, channel: DataChannelId); // ChannelClosed event follows
    pub fn close(&mut self, now: Instant);

    pub fn poll_timeout(&self) -> Option<Instant>;
    pub fn poll_output(&mut self) -> Option<Output>;
}
