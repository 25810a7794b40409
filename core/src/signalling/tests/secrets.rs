//! No credential in an error. The whole of what prints is looked through in `tests/secrets.rs`.

use super::*;

#[test]
fn a_connect_that_was_refused_names_no_credential() {
    let mut bench = Bench::new(exact());
    bench.connect().unwrap();
    bench.closed_on(bench.socket(), Some((CloseCode(4001), KEY)));
    let outputs = bench.outputs();
    let error = outputs.iter().find_map(|output| match output {
        Output::Connected(Err(error)) => Some(error.to_string()),
        _ => None,
    });
    let printed = format!("{error:?} {outputs:?} {:?}", bench.client);
    assert!(printed.contains("invalid_token") && !printed.contains("sesame"), "{printed}");
}

#[test]
fn options_that_cannot_be_name_no_credential() {
    for options in [
        SignallingOptions::api_key("sk_sesame"),
        SignallingOptions { url: "wss://me:sesame@a.example".into(), ..exact() },
        SignallingOptions { url: "wss://a.example?key=pk_sesame".into(), ..exact() },
        SignallingOptions { url: "http://a.example/#pk_sesame".into(), ..exact() },
        SignallingOptions { url: "pk_sesame".into(), ..exact() },
    ] {
        let error = Signalling::new(options, 7).unwrap_err();
        assert!(!format!("{error} {error:?}").contains("sesame"), "{error}");
    }
}
