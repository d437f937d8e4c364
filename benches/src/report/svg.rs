//! Vector graphics as text: just what the plots need.

use std::fmt::Write as _;

/// A picture. Its size is in units of its own; the page scales it.
pub(crate) struct Svg {
    pub(crate) width: f64,
    pub(crate) height: f64,
    body: String,
}

/// Where a text stands relative to its place.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Anchor {
    Start,
    Middle,
    End,
}

impl Svg {
    pub(crate) fn new(width: f64, height: f64) -> Svg {
        Svg { width, height, body: String::new() }
    }

    pub(crate) fn line(&mut self, class: &str, (x1, y1): (f64, f64), (x2, y2): (f64, f64)) {
        let (x1, y1, x2, y2) = (short(x1), short(y1), short(x2), short(y2));
        let _ = write!(self.body, r#"<line class="{class}" x1="{x1}" y1="{y1}" x2="{x2}" y2="{y2}"/>"#);
    }

    pub(crate) fn rect(&mut self, class: &str, (x, y): (f64, f64), (width, height): (f64, f64)) {
        let (x, y, width, height) = (short(x), short(y), short(width), short(height));
        let _ = write!(self.body, r#"<rect class="{class}" x="{x}" y="{y}" width="{width}" height="{height}"/>"#);
    }

    pub(crate) fn path_through(&mut self, class: &str, points: &[(f64, f64)]) {
        let places: Vec<_> = points.iter().map(|(x, y)| format!("{},{}", short(*x), short(*y))).collect();
        let _ = write!(self.body, r#"<polyline class="{class}" points="{}"/>"#, places.join(" "));
    }

    pub(crate) fn text(&mut self, class: &str, (x, y): (f64, f64), anchor: Anchor, text: &str) {
        let anchor = match anchor {
            Anchor::Start => "",
            Anchor::Middle => r#" text-anchor="middle""#,
            Anchor::End => r#" text-anchor="end""#,
        };
        let (x, y, text) = (short(x), short(y), escaped(text));
        let _ = write!(self.body, r#"<text class="{class}" x="{x}" y="{y}"{anchor}>{text}</text>"#);
    }

    /// The mark of contender `number`: shapes differ where colours might not.
    pub(crate) fn mark(&mut self, class: &str, number: usize, (x, y): (f64, f64)) {
        let r = 3.6;
        let shape: &[(f64, f64)] = match number % 6 {
            0 => {
                let (x, y) = (short(x), short(y));
                let _ = write!(self.body, r#"<circle class="{class}" cx="{x}" cy="{y}" r="{r}"/>"#);
                return;
            }
            1 => &[(-0.9, -0.9), (0.9, -0.9), (0.9, 0.9), (-0.9, 0.9)],
            2 => &[(0.0, -1.2), (1.15, 0.85), (-1.15, 0.85)],
            3 => &[(0.0, -1.3), (1.3, 0.0), (0.0, 1.3), (-1.3, 0.0)],
            4 => &[(0.0, 1.2), (1.15, -0.85), (-1.15, -0.85)],
            _ => &[
                (-1.3, -0.45),
                (-0.45, -0.45),
                (-0.45, -1.3),
                (0.45, -1.3),
                (0.45, -0.45),
                (1.3, -0.45),
                (1.3, 0.45),
                (0.45, 0.45),
                (0.45, 1.3),
                (-0.45, 1.3),
                (-0.45, 0.45),
                (-1.3, 0.45),
            ],
        };
        let places: Vec<_> =
            shape.iter().map(|(dx, dy)| format!("{},{}", short(x + dx * r), short(y + dy * r))).collect();
        let _ = write!(self.body, r#"<polygon class="{class}" points="{}"/>"#, places.join(" "));
    }

    /// The whole element. `id` is unique on the page; `description` tells the picture to who does not see it.
    pub(crate) fn finish(self, id: &str, title: &str, description: &str) -> String {
        let (width, height, body) = (short(self.width), short(self.height), self.body);
        let (title, description) = (escaped(title), escaped(description));
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" role=\"img\" \
             aria-labelledby=\"{id}-t {id}-d\"><title id=\"{id}-t\">{title}</title>\
             <desc id=\"{id}-d\">{description}</desc>{body}</svg>"
        )
    }
}

/// Text between tags and in attributes. What XML forbids is left out.
pub(crate) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out += "&amp;",
            '<' => out += "&lt;",
            '>' => out += "&gt;",
            '"' => out += "&quot;",
            '\'' => out += "&#39;",
            '\t' | '\n' | '\r' => out.push(' '),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

/// How wide a text of 12 units is, about: fonts differ.
pub(crate) fn width_of(text: &str) -> f64 {
    text.chars()
        .map(|c| match c {
            'i' | 'j' | 'l' | 't' | 'f' | 'r' | '.' | ',' | ':' | '\'' | ' ' | '-' | '/' | '(' | ')' => 4.2,
            'm' | 'w' | 'M' | 'W' | '%' | '—' => 10.6,
            c if c as u32 >= 0x1100 => 12.4,
            _ => 7.1,
        })
        .sum()
}

/// The text, cut in its middle where it would be wider: both ends of a module's path tell something.
pub(crate) fn fitted(text: &str, width: f64) -> String {
    if width_of(text) <= width {
        return text.to_owned();
    }
    let all: Vec<char> = text.chars().collect();
    for kept in (2..all.len()).rev() {
        let (head, tail) = (kept.div_ceil(2), kept / 2);
        let cut = all[..head].iter().chain(&['…']).chain(&all[all.len() - tail..]).collect::<String>();
        if width_of(&cut) <= width {
            return cut;
        }
    }
    "…".to_owned()
}

/// One digit after the point is a tenth of a pixel.
fn short(value: f64) -> String {
    let value = if value.is_finite() { value.clamp(-9999.0, 9999.0) } else { 0.0 };
    let text = format!("{value:.1}");
    let text = text.strip_suffix(".0").unwrap_or(&text);
    if text == "-0" { "0".to_owned() } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_cannot_leave_its_place() {
        assert_eq!("&lt;a b=&quot;c&quot;&gt; &amp;&#39;\u{fffd} Ω", escaped("<a b=\"c\">\n&'\0 Ω"));
    }

    #[test]
    fn long_names_keep_both_ends() {
        assert_eq!("clr", fitted("clr", 40.0));
        let cut = fitted("clr:a/very/long/path/My.dll", 80.0);
        assert!(cut.starts_with("clr:") && cut.ends_with(".dll") && width_of(&cut) <= 80.0, "{cut}");
        assert_eq!("…", fitted("漢字漢字", 5.0));
    }

    #[test]
    fn numbers_are_short_and_finite() {
        assert_eq!(["1.5", "2", "0", "0", "9999"], [1.46, 2.0, -0.01, f64::NAN, 1e300].map(short));
    }
}
