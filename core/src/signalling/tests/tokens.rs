//! The token provider.

use super::*;
use crate::signalling::ProviderError;

fn asked() -> Bench {
    let mut bench = Bench::new(exact_tokens());
    bench.connect().unwrap();
    bench
}

#[test]
fn the_provider_is_asked_before_the_first_connect() {
    let mut bench = asked();
    assert_eq!(bench.seen(), ["fetch 1", "idle → connecting"]);
    bench.token(Ok(TOKEN));
    assert_eq!(bench.seen(), ["open 1"]);
    bench.welcome();
    assert_eq!(bench.state(), State::Connected);
}

#[test]
fn the_provider_is_asked_before_every_later_connect() {
    let mut bench = Bench::connected(exact_tokens());
    for n in 2..6 {
        bench.breaks();
        bench.seen();
        bench.tick();
        assert_eq!(bench.seen(), [format!("fetch {n}")]);
        bench.token(Ok(TOKEN));
        assert_eq!(bench.seen(), [format!("open {n}")]);
        if n % 2 == 0 {
            bench.welcome();
        }
    }
}

#[test]
fn the_10_s_for_a_welcome_begin_when_the_token_is_there() {
    let mut bench = asked();
    bench.pass(secs(9));
    bench.token(Ok(TOKEN));
    assert_eq!(bench.due_in(), Some(secs(10)));
}

#[test]
fn a_failing_silent_or_empty_handed_provider_fails_the_first_connect_for_good() {
    let provider = TokenError::Provider(ProviderError::new("sesame"));
    for error in [provider, TokenError::Failed, TokenError::Timeout, TokenError::Empty] {
        let mut bench = asked();
        bench.seen();
        match error {
            TokenError::Provider(_) | TokenError::Failed => bench.token(Err(error.clone())),
            TokenError::Empty => bench.token(Ok("")),
            TokenError::Timeout => assert_eq!(bench.tick(), secs(10)),
        }
        let seen = bench.seen();
        assert_eq!(
            seen[seen.len() - 3..],
            [format!("connect: Token({error:?})"), "connecting → closed".to_owned(), "finished".to_owned()]
        );
    }
}

#[test]
fn a_question_that_timed_out_is_abandoned_and_its_late_answer_ignored() {
    let mut bench = Bench::dropped(exact_tokens());
    bench.tick();
    bench.seen();
    assert_eq!(bench.tick(), secs(10));
    assert_eq!(bench.seen(), ["abandon 2"]);
    bench.answer_token(TokenRequestId(2), Ok(TOKEN));
    bench.tick();
    assert_eq!(bench.seen(), ["fetch 3"]);
    bench.answer_token(TokenRequestId(2), Ok(TOKEN));
    assert_eq!((bench.seen(), bench.counters().stale_inputs), (vec![], 2));
}

#[test]
fn a_question_that_was_answered_is_not_abandoned() {
    for answer in [Err(TokenError::Failed), Ok("")] {
        let mut bench = asked();
        bench.token(answer);
        assert!(!bench.seen().contains(&"abandon 1".to_owned()));
    }
    let mut bench = Bench::dropped(exact_tokens());
    bench.tick();
    bench.token(Err(TokenError::Failed));
    assert_eq!(bench.seen(), ["fetch 2"]);
}

#[test]
fn a_provider_may_be_given_another_time_to_answer() {
    let mut bench = Bench::new(SignallingOptions { token_provider_timeout: secs(3), ..exact_tokens() });
    bench.connect().unwrap();
    assert_eq!(bench.due_in(), Some(secs(3)));
}

#[test]
fn from_the_third_failure_in_a_row_on_each_is_told_and_retries_go_on() {
    let mut bench = Bench::dropped(exact_tokens());
    let mut waits = Vec::new();
    for n in 1..=5 {
        waits.push(bench.tick().as_millis());
        bench.seen();
        bench.token(Err(TokenError::Failed));
        let told: Vec<String> = if n < 3 { vec![] } else { vec![format!("token provider failed {n}: Failed")] };
        assert_eq!(bench.seen(), told);
    }
    assert_eq!(waits, [500, 1000, 2000, 4000, 8000]);
    assert_eq!(bench.state(), State::Reconnecting);
}

#[test]
fn a_token_ends_the_row_of_failures() {
    let mut bench = Bench::dropped(exact_tokens());
    for answer in [Err(TokenError::Failed), Ok(""), Ok(TOKEN), Err(TokenError::Failed), Ok("")] {
        bench.tick();
        let connects = answer == Ok(TOKEN);
        bench.token(answer);
        if connects {
            bench.breaks();
        }
    }
    assert!(!bench.seen().iter().any(|line| line.contains("failed")));
    bench.tick();
    bench.token(Err(TokenError::Failed));
    assert_eq!(bench.seen().last().unwrap(), "token provider failed 3: Failed");
}

#[test]
fn token_failures_count_as_failed_attempts() {
    let reconnect = ReconnectOptions { max_attempts: Some(2), ..no_jitter() };
    let mut bench = Bench::dropped(SignallingOptions { reconnect, ..exact_tokens() });
    bench.tick();
    bench.token(Err(TokenError::Failed));
    bench.tick();
    bench.seen();
    bench.token(Err(TokenError::Failed));
    assert_eq!(bench.seen(), ["disconnected 1006, no retry", "reconnecting → closed", "finished"]);
}

#[test]
fn answers_to_other_questions_are_counted_and_ignored() {
    let mut bench = asked();
    bench.seen();
    bench.answer_token(TokenRequestId(9), Ok(TOKEN));
    bench.token(Ok(TOKEN));
    bench.seen();
    bench.answer_token(TokenRequestId(1), Ok(TOKEN));
    bench.welcome();
    bench.seen();
    bench.answer_token(TokenRequestId(1), Err(TokenError::Failed));
    assert_eq!((bench.seen(), bench.counters().stale_inputs), (vec![], 3));
}
