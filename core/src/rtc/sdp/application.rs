//! The name of the section for data channels, on its way in or out.

use super::text::{Writer, lines};

/// The text with the section for data channels called `to` where it is called `from`. No packet names that section, so it
/// may be called differently on either side of here.
pub(in crate::rtc) fn rename_application(text: &str, from: &str, to: &str) -> String {
    if !names_application(text, from) {
        return text.to_owned();
    }
    let mut in_application = false;
    let mut out = Writer::new(text);
    for line in lines(text) {
        if is_application_mid(&mut in_application, line, from) {
            out.line(&format!("a=mid:{to}"));
        } else if let Some(mids) = line.strip_prefix("a=group:BUNDLE ") {
            let mids: Vec<_> = mids.split(' ').map(|mid| if mid == from { to } else { mid }).collect();
            out.line(&format!("a=group:BUNDLE {}", mids.join(" ")));
        } else {
            out.line(line);
        }
    }
    out.text
}

/// Whether the section for data channels is called so.
pub(in crate::rtc) fn names_application(text: &str, mid: &str) -> bool {
    let mut in_application = false;
    lines(text).any(|line| is_application_mid(&mut in_application, line, mid))
}

fn is_application_mid(in_application: &mut bool, line: &str, mid: &str) -> bool {
    if let Some(section) = line.strip_prefix("m=") {
        *in_application = section.starts_with("application ");
    }
    *in_application && line.strip_prefix("a=mid:") == Some(mid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_section_for_data_channels_is_renamed() {
        let text = |mid| {
            format!(
                "a=group:BUNDLE 0 {mid}\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:0\r\n\
                 m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\na=mid:{mid}\r\n"
            )
        };
        assert_eq!(rename_application(&text("NVn"), "NVn", "1"), text("1"));
        assert_eq!(rename_application(&text("1"), "1", "NVn"), text("NVn"));
        assert_eq!(rename_application(&text("1"), "0", "NVn"), text("1"), "that is the audio");
    }
}
