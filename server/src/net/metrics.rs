//! Counters and gauges of one server, in the format of Prometheus.

use metrics::{Counter, Gauge, Key, KeyName, Label, Level, Metadata, Recorder, SharedString, Unit};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle, PrometheusRecorder};

static METADATA: Metadata<'static> = Metadata::new(module_path!(), Level::INFO, Some(module_path!()));

/// The metrics of one server. They are not global, so that several servers of one process count for themselves.
pub(super) struct Metrics {
    handle: PrometheusHandle,
    pub(super) connections: Gauge,
    pub(super) http_sockets: Gauge,
    pub(super) outbound_bytes: Gauge,
    pub(super) connects: Counter,
    pub(super) refused_credentials: Counter,
    pub(super) refused_full: Counter,
    pub(super) refused_rate: Counter,
    pub(super) frames_in: Counter,
    pub(super) frames_malformed: Counter,
    pub(super) texts_out: Counter,
    pub(super) bytes_out: Counter,
    pub(super) closed_too_slow: Counter,
    pub(super) closed_over_rate: Counter,
    pub(super) closed_no_pong: Counter,
    pub(super) http_dropped: Counter,
    pub(super) http_timeouts: Counter,
    pub(super) accept_errors: Counter,
    pub(super) lingers_skipped: Counter,
}

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

struct Registry(PrometheusRecorder);

impl Registry {
    fn key(name: &'static str, labels: &[(&'static str, &'static str)]) -> Key {
        Key::from_parts(name, labels.iter().map(|(name, value)| Label::new(*name, *value)).collect::<Vec<_>>())
    }

    fn counter(&self, name: &'static str, help: &'static str) -> Counter {
        self.labelled(name, &[], help)
    }

    fn labelled(&self, name: &'static str, labels: &[(&'static str, &'static str)], help: &'static str) -> Counter {
        self.0.describe_counter(KeyName::from(name), None, SharedString::const_str(help));
        let counter = self.0.register_counter(&Self::key(name, labels), &METADATA);
        // A counter is shown from the start, so that its first increase is seen.
        counter.increment(0);
        counter
    }

    fn gauge(&self, name: &'static str, unit: Option<Unit>, help: &'static str) -> Gauge {
        self.0.describe_gauge(KeyName::from(name), unit, SharedString::const_str(help));
        let gauge = self.0.register_gauge(&Self::key(name, &[]), &METADATA);
        gauge.set(0.0);
        gauge
    }
}

impl Metrics {
    pub(super) fn new() -> Self {
        const REFUSED: &str = "metered_realtime_connects_refused_total";
        const REFUSED_HELP: &str = "Connects that got no welcome, by reason";
        const CLOSED: &str = "metered_realtime_connections_closed_total";
        const CLOSED_HELP: &str = "Connections that the server ended for a broken bound, by bound";
        let registry = Registry(PrometheusBuilder::new().build_recorder());
        Self {
            connections: registry.gauge("metered_realtime_connections", None, "Connections that have been welcomed"),
            http_sockets: registry.gauge("metered_realtime_http_sockets", None, "Sockets that are not WebSockets"),
            outbound_bytes: registry.gauge(
                "metered_realtime_outbound_queue_bytes",
                Some(Unit::Bytes),
                "Bytes of texts that wait to be written, each text counted once",
            ),
            connects: registry.counter("metered_realtime_connects_total", "Connections welcomed"),
            refused_credentials: registry.labelled(REFUSED, &[("reason", "credential")], REFUSED_HELP),
            refused_full: registry.labelled(REFUSED, &[("reason", "full")], REFUSED_HELP),
            refused_rate: registry.labelled(REFUSED, &[("reason", "rate")], REFUSED_HELP),
            frames_in: registry.counter("metered_realtime_frames_received_total", "WebSocket messages received"),
            frames_malformed: registry
                .counter("metered_realtime_frames_malformed_total", "Messages that were no frame or no good JSON"),
            texts_out: registry.counter("metered_realtime_texts_queued_total", "Texts queued, once for each receiver"),
            bytes_out: registry.counter("metered_realtime_text_bytes_queued_total", "Bytes of these texts"),
            closed_too_slow: registry.labelled(CLOSED, &[("bound", "outbound_queue")], CLOSED_HELP),
            closed_over_rate: registry.labelled(CLOSED, &[("bound", "rate")], CLOSED_HELP),
            closed_no_pong: registry.labelled(CLOSED, &[("bound", "pong")], CLOSED_HELP),
            http_dropped: registry.counter(
                "metered_realtime_http_sockets_dropped_total",
                "Sockets dropped while they kept the server waiting, to make room",
            ),
            http_timeouts: registry
                .counter("metered_realtime_http_timeouts_total", "Sockets dropped at the HTTP timeout"),
            accept_errors: registry
                .counter("metered_realtime_accept_errors_total", "Sockets that could not be accepted"),
            lingers_skipped: registry.counter(
                "metered_realtime_lingers_skipped_total",
                "Ended sockets dropped at once because too many others were ending",
            ),
            handle: registry.0.handle(),
        }
    }

    /// The text of `/metrics`.
    pub(super) fn render(&self) -> String {
        self.handle.run_upkeep();
        self.handle.render()
    }
}
