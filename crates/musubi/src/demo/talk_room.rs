//! A talk room drawn as its person saw it: bubbles with buttons, the company on the left, the person on the right.
//!
//! Columns are counted by what a terminal shows, where a kana takes two. Surprising: which figure of the patent a message is
//! stands in no message; it is read off the buttons, as a person would.

use musubi_proto::{
    terminal::v1::{Line, ShownMessage, TalkRoom, line},
    r#type::v1::{Content, TrafficType, suggestion},
};
use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

use super::summary::masked;

/// Columns of a whole room.
const ROOM: usize = 76;
/// Columns of the text in a bubble.
const BUBBLE: usize = 52;
/// Marks that no line begins with.
const CLOSING: &str = "、。，．）」』】！？";

/// Draws a room, each line ended.
pub(super) fn draw(room: &TalkRoom, title: &str) -> String {
    let head = format!("── {} ── {} ── {title} ", room.display_name, masked(&room.phone_number));
    let mut drawn = format!("{head}{}\n", "─".repeat(ROOM.saturating_sub(head.width())));
    room.lines.iter().for_each(|line| draw_line(line, &mut drawn));
    drawn
}

fn draw_line(line: &Line, drawn: &mut String) {
    match &line.what {
        Some(line::What::Message(message)) => {
            let Some(content) = &message.content else { return };
            bubble(&lines_of(content), caption(message), 0, drawn);
        }
        Some(line::What::Said(said)) => {
            let lines = wrap(said);
            let width = lines.iter().map(|line| line.width()).max().unwrap_or_default();
            bubble(&lines, "", ROOM.saturating_sub(width + 4), drawn);
        }
        Some(line::What::Opened(url)) => note(&format!("→ {url}"), drawn),
        Some(line::What::Proved(url)) => note(&format!("✓ {url}"), drawn),
        Some(line::What::Followed(follows)) => note(if *follows { "+" } else { "−" }, drawn),
        None => {}
    }
}

/// What is no message, at the person's side.
fn note(text: &str, drawn: &mut String) {
    drawn.push_str(&format!("{}{text}\n", " ".repeat(ROOM.saturating_sub(text.width()))));
}

/// Which of the patent's figures, or which message of a distribution.
fn caption(message: &ShownMessage) -> &'static str {
    let Some(content) = &message.content else { return "" };
    let buttons = content.suggestions.len();
    let pages = content.suggestions.iter().filter(|suggestion| opens(&suggestion.action).is_some()).count();
    match message.traffic_type() {
        TrafficType::Transaction => "individual message",
        TrafficType::Promotion => "uniform message",
        TrafficType::ServiceRequest => match (buttons, pages) {
            (3, 1) => "fig. 7",
            (0, _) => "fig. 8",
            (1.., _) if pages == buttons => "fig. 9",
            _ => "",
        },
        TrafficType::Unspecified => "",
    }
}

fn opens(action: &Option<suggestion::Action>) -> Option<&str> {
    match action {
        Some(suggestion::Action::OpenUrl(open)) => Some(&open.url),
        Some(suggestion::Action::Dial(_)) | None => None,
    }
}

/// The text and below it the buttons, in lines that fit a bubble.
fn lines_of(content: &Content) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(card) = &content.card {
        lines.extend((!card.image_url.is_empty()).then(|| "[▧]".to_owned()));
        lines.extend(wrap(&card.title));
    }
    lines.extend(wrap(&content.text));
    for (index, button) in content.suggestions.iter().enumerate() {
        let opens = if opens(&button.action).is_some() { " ↗" } else { "" };
        lines.extend(wrap(&format!("[B{}] {}{opens}", index + 1, button.text)));
    }
    lines
}

fn bubble(lines: &[String], caption: &str, indent: usize, drawn: &mut String) {
    let width = lines.iter().map(|line| line.width()).max().unwrap_or_default();
    let indent = " ".repeat(indent);
    let caption = if caption.is_empty() { String::new() } else { format!("  ({caption})") };
    drawn.push_str(&format!("{indent}╭{}╮{caption}\n", "─".repeat(width + 2)));
    for line in lines {
        let fill = " ".repeat(width - line.width());
        drawn.push_str(&format!("{indent}│ {line}{fill} │\n"));
    }
    drawn.push_str(&format!("{indent}╰{}╯\n", "─".repeat(width + 2)));
}

/// The text in lines of [`BUBBLE`] columns; Japanese may break anywhere but before a closing mark, which hangs.
fn wrap(text: &str) -> Vec<String> {
    let mut lines = Vec::new();
    for paragraph in text.lines() {
        let mut line = String::new();
        let mut width = 0;
        for c in paragraph.chars().filter(|c| !c.is_control()) {
            let columns = c.width().unwrap_or_default();
            if width + columns > BUBBLE && !CLOSING.contains(c) {
                lines.push(std::mem::take(&mut line));
                width = 0;
            }
            line.push(c);
            width += columns;
        }
        lines.push(line);
    }
    lines
}

#[cfg(test)]
mod tests {
    use musubi_proto::r#type::v1::{OpenUrl, Suggestion};

    use super::*;

    fn button(text: &str, opens: bool) -> Suggestion {
        let url = OpenUrl { url: "https://a.example/x".to_owned(), webview: true };
        let action = opens.then_some(suggestion::Action::OpenUrl(url));
        Suggestion { text: text.to_owned(), postback: "p".to_owned(), action }
    }

    fn message(text: &str, buttons: &[(&str, bool)], traffic_type: TrafficType) -> Line {
        let suggestions = buttons.iter().map(|(text, opens)| button(text, *opens)).collect();
        let message = ShownMessage {
            message_id: "msg_1".to_owned(),
            content: Some(Content { text: text.to_owned(), suggestions, card: None }),
            traffic_type: traffic_type.into(),
        };
        Line { line_time: None, what: Some(line::What::Message(message)) }
    }

    fn room(lines: Vec<Line>) -> TalkRoom {
        TalkRoom {
            phone_number: "+818012345678".to_owned(),
            official_account: "aoba-bank".to_owned(),
            display_name: "青葉銀行".to_owned(),
            lines,
            step: "finished".to_owned(),
        }
    }

    #[test]
    fn every_line_of_a_room_is_as_wide_as_a_terminal_shows_it() {
        let long = "個人向けのお知らせを".repeat(9);
        let drawn = draw(&room(vec![message(&long, &[("はい", false)], TrafficType::Promotion)]), "rejected");
        let body: Vec<&str> = drawn.lines().skip(2).collect();
        assert!(body.len() >= 6);
        assert!(body.iter().all(|line| line.width() == BUBBLE + 4), "{drawn}");
    }

    #[test]
    fn closing_mark_hangs_instead_of_beginning_a_line() {
        let text = format!("{}、つづき", "あ".repeat(BUBBLE / 2));
        assert_eq!(wrap(&text), [format!("{}、", "あ".repeat(BUBBLE / 2)), "つづき".to_owned()]);
    }

    #[test]
    fn figures_are_told_by_their_buttons() {
        let service = TrafficType::ServiceRequest;
        for (buttons, traffic_type, caption) in [
            (&[("はい", false), ("口座がない", true), ("いいえ", false)][..], service, "(fig. 7)"),
            (&[], service, "(fig. 8)"),
            (&[("JPKI", true), ("暗証番号", true)], service, "(fig. 9)"),
            (&[], TrafficType::Transaction, "(individual message)"),
            (&[], TrafficType::Promotion, "(uniform message)"),
        ] {
            let drawn = draw(&room(vec![message("本文", buttons, traffic_type)]), "t");
            assert!(drawn.contains(caption), "{drawn}");
            for (index, (text, opens)) in buttons.iter().enumerate() {
                let arrow = if *opens { " ↗" } else { "" };
                assert!(drawn.contains(&format!("[B{}] {text}{arrow}", index + 1)), "{drawn}");
            }
        }
    }

    #[test]
    fn what_the_person_says_stands_on_the_right_and_the_number_is_masked() {
        let said = |text: &str| Line { line_time: None, what: Some(line::What::Said(text.to_owned())) };
        let drawn = draw(&room(vec![said("１２３４５６７")]), "confirmed");
        let bubble = drawn.lines().nth(2).unwrap();
        assert!(bubble.width() == ROOM && bubble.starts_with("     "), "{drawn}");
        assert!(drawn.contains("5678") && !drawn.contains("8012345678"), "{drawn}");
    }

    #[test]
    fn control_characters_do_not_reach_the_terminal() {
        let drawn = draw(&room(vec![message("a\u{1b}[2Jb", &[], TrafficType::Promotion)]), "t");
        assert!(!drawn.contains('\u{1b}'));
    }
}
