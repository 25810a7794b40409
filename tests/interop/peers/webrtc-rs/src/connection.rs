//! One remote peer.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use webrtc::api::APIBuilder;
use webrtc::api::media_engine::{MIME_TYPE_OPUS, MediaEngine};
use webrtc::data_channel::RTCDataChannel;
use webrtc::data_channel::data_channel_message::DataChannelMessage;
use webrtc::ice_transport::ice_candidate::RTCIceCandidateInit;
use webrtc::media::Sample;
use webrtc::peer_connection::RTCPeerConnection;
use webrtc::peer_connection::configuration::RTCConfiguration;
use webrtc::peer_connection::sdp::session_description::RTCSessionDescription;
use webrtc::rtp_transceiver::rtp_codec::{RTCRtpCodecCapability, RTCRtpCodecParameters, RTPCodecType};
use webrtc::track::track_local::track_local_static_sample::TrackLocalStaticSample;

use crate::{Outcome, tell, text};

pub(crate) struct Connection {
    peer: String,
    frames: mpsc::UnboundedSender<Value>,
    pc: RTCPeerConnection,
    channels: Arc<Mutex<HashMap<String, Arc<RTCDataChannel>>>>,
    described: AtomicBool,
    audio: Arc<AtomicU64>,
}

impl Connection {
    pub(crate) async fn new(peer: &str, frames: mpsc::UnboundedSender<Value>, sends_audio: bool) -> Outcome<Arc<Self>> {
        let opus = RTCRtpCodecCapability {
            mime_type: MIME_TYPE_OPUS.to_owned(),
            clock_rate: 48_000,
            channels: 2,
            sdp_fmtp_line: "minptime=10;useinbandfec=1".to_owned(),
            rtcp_feedback: Vec::new(),
        };
        let mut codecs = MediaEngine::default();
        let parameters = RTCRtpCodecParameters { capability: opus.clone(), payload_type: 111, ..Default::default() };
        codecs.register_codec(parameters, RTPCodecType::Audio)?;
        let pc = APIBuilder::new()
            .with_media_engine(codecs)
            .build()
            .new_peer_connection(RTCConfiguration::default())
            .await?;
        let connection = Self {
            peer: peer.to_owned(),
            frames,
            pc,
            channels: Arc::default(),
            described: AtomicBool::new(false),
            audio: Arc::default(),
        };
        connection.follow();
        if sends_audio {
            let track = Arc::new(TrackLocalStaticSample::new(opus, "sound".to_owned(), "stream".to_owned()));
            connection.pc.add_track(track.clone()).await?;
            tokio::spawn(async move {
                let silence = Bytes::from_static(&[0xf8, 0xff, 0xfe]);
                let duration = Duration::from_millis(20);
                let mut ticks = tokio::time::interval(duration);
                loop {
                    ticks.tick().await;
                    drop(track.write_sample(&Sample { data: silence.clone(), duration, ..Default::default() }).await);
                }
            });
        }
        Ok(Arc::new(connection))
    }

    fn follow(&self) {
        let (peer, frames) = (self.peer.clone(), self.frames.clone());
        self.pc.on_ice_candidate(Box::new(move |candidate| {
            if let Some(candidate) = candidate.and_then(|candidate| candidate.to_json().ok()) {
                drop(frames.send(
                    json!({ "type": "send", "to": peer, "data": { "type": "rtc-ice", "candidate": candidate } }),
                ));
            }
            Box::pin(async {})
        }));
        let peer = self.peer.clone();
        self.pc.on_peer_connection_state_change(Box::new(move |state| {
            tell("remote-state", json!({ "peer": peer, "to": state.to_string() }));
            Box::pin(async {})
        }));
        let (peer, channels) = (self.peer.clone(), self.channels.clone());
        self.pc.on_data_channel(Box::new(move |channel| {
            watch(&peer, &channels, channel, "remote");
            Box::pin(async {})
        }));
        let audio = self.audio.clone();
        self.pc.on_track(Box::new(move |track, _, _| {
            let audio = audio.clone();
            tokio::spawn(async move {
                while track.read_rtp().await.is_ok() {
                    audio.fetch_add(1, Ordering::Relaxed);
                }
            });
            Box::pin(async {})
        }));
    }

    pub(crate) fn audio_packets(&self) -> u64 {
        self.audio.load(Ordering::Relaxed)
    }

    /// Takes a signal of the peer's.
    pub(crate) async fn take(&self, data: &Value) -> Outcome<()> {
        match text(data, "type") {
            "rtc-description" => {
                let description = &data["description"];
                let (kind, sdp) = (text(description, "type"), text(description, "sdp").to_owned());
                tell("description", json!({ "peer": self.peer, "sent": false, "type": kind, "sdp": sdp }));
                if kind == "answer" {
                    self.pc.set_remote_description(RTCSessionDescription::answer(sdp)?).await?;
                } else {
                    self.pc.set_remote_description(RTCSessionDescription::offer(sdp)?).await?;
                    self.describe(self.pc.create_answer(None).await?).await?;
                }
                self.described.store(true, Ordering::Relaxed);
            }
            "rtc-ice" if !text(&data["candidate"], "candidate").is_empty() => {
                self.pc
                    .add_ice_candidate(serde_json::from_value::<RTCIceCandidateInit>(data["candidate"].clone())?)
                    .await?;
            }
            _ => {}
        }
        Ok(())
    }

    async fn describe(&self, description: RTCSessionDescription) -> Outcome<()> {
        self.pc.set_local_description(description.clone()).await?;
        let described = json!({ "type": description.sdp_type.to_string(), "sdp": description.sdp });
        tell(
            "description",
            json!({ "peer": self.peer, "sent": true, "type": described["type"], "sdp": described["sdp"] }),
        );
        let data = json!({ "type": "rtc-description", "description": described });
        self.frames.send(json!({ "type": "send", "to": self.peer, "data": data }))?;
        Ok(())
    }

    pub(crate) async fn open(&self, label: &str) -> Outcome<Value> {
        watch(&self.peer, &self.channels, self.pc.create_data_channel(label, None).await?, "local");
        if !self.described.load(Ordering::Relaxed) {
            self.describe(self.pc.create_offer(None).await?).await?;
        }
        Ok(Value::Null)
    }

    fn channel(&self, label: &str) -> Outcome<Arc<RTCDataChannel>> {
        let channels = self.channels.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(channels.get(label).cloned().ok_or("no such channel")?)
    }

    pub(crate) async fn send(&self, label: &str, body: &Value) -> Outcome<Value> {
        let channel = self.channel(label)?;
        match body["base64"].as_str() {
            Some(base64) => channel.send(&BASE64_STANDARD.decode(base64)?.into()).await?,
            None => channel.send_text(text(body, "text")).await?,
        };
        Ok(Value::Null)
    }

    pub(crate) async fn close(&self, label: &str) -> Outcome<Value> {
        self.channel(label)?.close().await?;
        Ok(Value::Null)
    }
}

/// Reports what happens on a channel, and echoes on those that the peer opened.
fn watch(
    peer: &str,
    channels: &Mutex<HashMap<String, Arc<RTCDataChannel>>>,
    channel: Arc<RTCDataChannel>,
    opened: &'static str,
) {
    let label = channel.label().to_owned();
    let name = json!({ "peer": peer, "label": label, "protocol": channel.protocol(), "opened": opened });
    channels.lock().unwrap_or_else(PoisonError::into_inner).insert(label, channel.clone());
    let told = name.clone();
    channel.on_open(Box::new(move || {
        tell("channel-open", told);
        Box::pin(async {})
    }));
    let told = name.clone();
    channel.on_close(Box::new(move || {
        tell("channel-closed", told.clone());
        Box::pin(async {})
    }));
    let echo = Arc::downgrade(&channel);
    channel.on_message(Box::new(move |DataChannelMessage { is_string, data }| {
        let mut told = name.clone();
        if is_string {
            told["text"] = String::from_utf8_lossy(&data).into();
        } else {
            told["base64"] = BASE64_STANDARD.encode(&data).into();
        }
        tell("channel-message", told);
        let echo = echo.upgrade().filter(|_| opened == "remote");
        Box::pin(async move {
            let Some(channel) = echo else { return };
            let sent = if is_string {
                channel.send_text(String::from_utf8_lossy(&data)).await
            } else {
                channel.send(&data).await
            };
            if let Err(error) = sent {
                tell("error", json!({ "error": error.to_string() }));
            }
        })
    }));
}
