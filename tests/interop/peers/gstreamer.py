"""One webrtcbin of GStreamer that sends sound, steered by gstreamer.mjs: one JSON object a line in and out."""

import json
import sys
import threading

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstWebRTC", "1.0")
gi.require_version("GstSdp", "1.0")
from gi.repository import GLib, Gst, GstSdp, GstWebRTC  # noqa: E402

PIPELINE = (
    "webrtcbin name=rtc bundle-policy=max-bundle audiotestsrc is-live=true ! opusenc ! rtpopuspay pt=111 "
    "! application/x-rtp,media=audio,encoding-name=OPUS,encoding-params=(string)2,payload=111 ! rtc."
)
KINDS = {"offer": GstWebRTC.WebRTCSDPType.OFFER, "answer": GstWebRTC.WebRTCSDPType.ANSWER}


def tell(**fields):
    print(json.dumps(fields), flush=True)


def description(kind, sdp):
    _, message = GstSdp.SDPMessage.new_from_text(sdp)
    return GstWebRTC.WebRTCSessionDescription.new(KINDS[kind], message)


Gst.init(None)
pipeline = Gst.parse_launch(PIPELINE)
rtc = pipeline.get_by_name("rtc")


def create(kind):
    def created(promise, *_):
        # The description lives in the reply: without a name for that, it is gone.
        reply = promise.get_reply()
        sdp = reply.get_value(kind).sdp.as_text()
        rtc.emit("set-local-description", description(kind, sdp), Gst.Promise.new())
        tell(tell="description", type=kind, sdp=sdp)

    rtc.emit(f"create-{kind}", None, Gst.Promise.new_with_change_func(created, None))


def take(request):
    name = request["do"]
    if name == "offer":
        create("offer")
    elif name == "offered":
        then = Gst.Promise.new_with_change_func(lambda *_: create("answer"), None)
        rtc.emit("set-remote-description", description("offer", request["sdp"]), then)
    elif name == "answered":
        rtc.emit("set-remote-description", description("answer", request["sdp"]), Gst.Promise.new())
    elif name == "candidate":
        rtc.emit("add-ice-candidate", request["line"], request["candidate"])
    return False


def read():
    for line in sys.stdin:
        GLib.idle_add(take, json.loads(line))
    GLib.idle_add(loop.quit)


rtc.connect("on-ice-candidate", lambda _, line, text: tell(tell="candidate", line=line, candidate=text))
rtc.connect("notify::connection-state", lambda *_: tell(tell="state", to=rtc.get_property("connection-state").value_nick))
pipeline.set_state(Gst.State.PLAYING)
loop = GLib.MainLoop()
threading.Thread(target=read, daemon=True).start()
loop.run()
