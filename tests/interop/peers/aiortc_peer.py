"""aiortc as a peer in a room of our server: the commands and events of client.mjs, one JSON object a line in and out."""

import asyncio
import base64
import json
import sys
from urllib.parse import quote

import websockets
from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import AudioStreamTrack, MediaStreamError
from aiortc.sdp import candidate_from_sdp


def tell(event, **fields):
    print(json.dumps({"event": event, **fields}), flush=True)


class Connection:
    """One remote peer."""

    def __init__(self, room, peer):
        self.room, self.peer = room, peer
        self.pc = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self.channels = {}
        self.described = False
        self.audio = 0
        self.pc.on("connectionstatechange", lambda: tell("remote-state", peer=peer, to=self.pc.connectionState))
        self.pc.on("datachannel", lambda channel: self.watch(channel, "remote"))
        self.pc.on("track", lambda track: asyncio.ensure_future(self.listen(track)))
        if room.sends_audio:
            self.pc.addTrack(AudioStreamTrack())

    async def listen(self, track):
        try:
            while True:
                await track.recv()
                self.audio += track.kind == "audio"
        except MediaStreamError:
            pass

    def watch(self, channel, opened):
        name = {"peer": self.peer, "label": channel.label}
        self.channels[channel.label] = channel

        def on_open():
            tell("channel-open", **name, opened=opened, protocol=channel.protocol)

        def on_message(data):
            text = isinstance(data, str)
            tell("channel-message", **name, **({"text": data} if text else {"base64": base64.b64encode(data).decode()}))
            if opened == "remote":
                channel.send(data)

        channel.on("message", on_message)
        channel.on("close", lambda: tell("channel-closed", **name))
        if channel.readyState == "open":
            on_open()
        else:
            channel.on("open", on_open)

    async def describe(self, description):
        await self.pc.setLocalDescription(description)
        local = self.pc.localDescription
        described = {"type": local.type, "sdp": local.sdp}
        tell("description", peer=self.peer, sent=True, **described)
        await self.room.send_signal(self.peer, {"type": "rtc-description", "description": described})

    async def take(self, data):
        if data.get("type") == "rtc-description":
            description = data["description"]
            tell("description", peer=self.peer, sent=False, **description)
            await self.pc.setRemoteDescription(RTCSessionDescription(**description))
            self.described = True
            if description["type"] == "offer":
                await self.describe(await self.pc.createAnswer())
        elif data.get("type") == "rtc-ice" and (data["candidate"] or {}).get("candidate"):
            candidate = candidate_from_sdp(data["candidate"]["candidate"].removeprefix("candidate:"))
            candidate.sdpMid = data["candidate"].get("sdpMid")
            candidate.sdpMLineIndex = data["candidate"].get("sdpMLineIndex")
            await self.pc.addIceCandidate(candidate)


class Room:
    def __init__(self):
        self.connections = {}
        self.sends_audio = False

    def connection(self, peer):
        if peer not in self.connections:
            self.connections[peer] = Connection(self, peer)
        return self.connections[peer]

    async def send(self, **frame):
        await self.socket.send(json.dumps(frame))

    async def send_signal(self, peer, data):
        await self.send(type="send", to=peer, data=data)

    async def read(self, joined):
        peer_id = None
        async for text in self.socket:
            frame = json.loads(text)
            if frame["type"] == "welcome":
                peer_id = frame["peerId"]
                await self.send(type="subscribe", channel=self.name, requestId="room")
            elif frame["type"] == "ack" and frame["requestId"] == "room":
                joined.set_result(peer_id)
            elif frame["type"] == "presence":
                for other in frame["joined"]:
                    if other["peerId"] != peer_id:
                        tell("peer-joined", peer=other["peerId"])
            elif frame["type"] == "direct":
                try:
                    await self.connection(frame["from"]).take(frame["data"])
                except Exception as error:
                    tell("error", error=repr(error))
            elif frame["type"] == "error":
                tell("error", error=frame["code"])

    async def join(self, url, key, room, **_):
        self.name = room
        self.socket = await websockets.connect(f"{url}/v1?key={quote(key)}", compression=None)
        joined = asyncio.get_running_loop().create_future()
        self.reading = asyncio.ensure_future(self.read(joined))
        return {"peerId": await joined}

    async def add_stream(self, **_):
        self.sends_audio = True

    async def open_channel(self, peer, label, **_):
        connection = self.connection(peer)
        connection.watch(connection.pc.createDataChannel(label), "local")
        if not connection.described:
            await connection.describe(await connection.pc.createOffer())

    async def channel_send(self, peer, label, **body):
        data = body["text"] if "text" in body else base64.b64decode(body["base64"])
        self.connections[peer].channels[label].send(data)

    async def channel_close(self, peer, label):
        self.connections[peer].channels[label].close()

    async def received(self, peer):
        return self.connections[peer].audio


async def main():
    room = Room()
    commands = {
        "join": room.join,
        "addStream": room.add_stream,
        "openChannel": room.open_channel,
        "channelSend": room.channel_send,
        "channelClose": room.channel_close,
        "received": room.received,
    }
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        request = json.loads(line)
        reply = {"reply": request.pop("id")}
        try:
            reply["ok"] = await commands[request.pop("do")](**request)
        except Exception as error:
            reply["error"] = repr(error)
        print(json.dumps(reply), flush=True)


asyncio.run(main())
