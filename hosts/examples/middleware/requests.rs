//! Requests as an API gateway sees them, made from a seed: the same seed gives the same requests on every machine.

use std::collections::BTreeMap;
use std::fmt::Write;

use polyhost_proto::bench::v1::Request;

use super::native::sign;

/// A request and what is special about it.
#[derive(Debug, Clone)]
pub(crate) struct Sample {
    /// For people, such as `wrong signature`.
    pub(crate) what: &'static str,
    /// The request.
    pub(crate) request: Request,
}

/// So many requests of all kinds.
pub(crate) fn generate(seed: u64, count: usize) -> Vec<Sample> {
    let mut generator = Generator { random: Random(seed) };
    (0..count).map(|_| generator.sample()).collect()
}

/// An order of so many items, signed.
#[allow(dead_code, reason = "the bench asks for requests of a size")]
pub(crate) fn order(seed: u64, items: u64) -> Request {
    let mut generator = Generator { random: Random(seed) };
    let mut request = generator.with_json("POST", "/api/v1/orders", |generator| generator.order_of(items));
    generator.sign(&mut request);
    request
}

/// SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014).
#[derive(Debug)]
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `n`, evenly enough for this.
    fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }

    fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    fn pick<T: Copy>(&mut self, list: &[T]) -> T {
        list[self.next() as usize % list.len()]
    }

    /// One of the list; the first half of it about three times as often as the rest.
    fn pick_early<T: Copy>(&mut self, list: &[T]) -> T {
        let (a, b) = (self.next() as usize % list.len(), self.next() as usize % list.len());
        list[a.min(b)]
    }
}

const KEYS: [&str; 9] =
    ["acme-web", "acme-mobile", "globex", "initech", "umbrella", "hooli", "stark-industries", "münchen-süd", "東京"];

const NAMES: [&str; 12] = [
    "Ada Lovelace",
    "Zoë Müller",
    "李小龍",
    "Ольга Иванова",
    "محمد عبد الله",
    "Seán O'Brien",
    "👩‍🚀 Valentina",
    "Grace \"Amazing\" Hopper",
    "back\\slash / slash",
    "line\nbreak\tand tab",
    "अनुष्का",
    "\u{1}\u{1f}\u{7f}\u{2028}",
];

const WORDS: [&str; 14] = [
    "shoes",
    "lamp",
    "café",
    "naïve",
    "キーボード",
    "🎉",
    "blue",
    "size 42",
    "50% off",
    "Größe",
    "c++",
    "a/b",
    "emoji 🧑🏽‍💻",
    "",
];

const AGENTS: [&str; 5] = [
    "Mozilla/5.0 (X11; Linux x86_64; rv:144.0) Gecko/20100101 Firefox/144.0",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 19_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148",
    "okhttp/5.1.0",
    "python-requests/2.32.5",
    "curl/8.15.0",
];

const JSON_TYPES: [&str; 3] = ["application/json", "application/json; charset=utf-8", "application/json"];

/// What is no JSON object, or not the one it should be.
const BAD_JSON: [&[u8]; 22] = [
    b"{",
    b"{\"user\":\"ada\",",
    b"{\"user\":\"ada\"} trailing",
    b"{\"a\":1,}",
    b"{'a':1}",
    b"{a:1}",
    b"{\"a\":NaN}",
    b"{\"a\":01}",
    b"{\"a\":.5}",
    b"{\"a\":+1}",
    b"{\"a\":\"\\x\"}",
    b"{\"a\":\"line\nbreak\"}",
    b"{\"a\":\"\\ud83d\"}",
    b"{\"a\":\"\xff\xfe\"}",
    b"{\"a\":\"\xed\xa0\x80\"}",
    b"\xef\xbb\xbf{\"a\":1}",
    b"[1,2,3]",
    b"\"text\"",
    b"null",
    b"// comment\n{}",
    b"{\"items\":{\"price\":1,\"quantity\":2}}",
    b"{\"items\":[{\"price\":\"1\",\"quantity\":2}]}",
];

struct Generator {
    random: Random,
}

impl Generator {
    fn sample(&mut self) -> Sample {
        let (what, mut request) = match self.random.below(100) {
            0..32 => ("no body", self.without_body()),
            32..56 => ("order", self.with_json("POST", "/api/v1/orders", Self::order)),
            56..66 => ("profile", self.with_json("PUT", "/api/v1/users", Self::profile)),
            66..72 => ("login", self.with_json("POST", "/api/v1/login", Self::login)),
            72..76 => ("large order", self.with_json("POST", "/api/v1/orders/batch", Self::large_order)),
            76..83 => ("form", self.form()),
            83..87 => ("upload", self.upload()),
            87..92 => ("bad JSON", self.with_json("POST", "/api/v1/orders", Self::bad)),
            92..94 => ("empty JSON body", self.with_json("POST", "/api/v1/ping", |_| Vec::new())),
            _ => return self.refused(),
        };
        self.sign(&mut request);
        Sample { what, request }
    }

    /// A request that the signature check stops.
    fn refused(&mut self) -> Sample {
        let mut request = self.with_json("POST", "/api/v1/orders", Self::order);
        self.sign(&mut request);
        let what = match self.random.below(5) {
            0 => {
                request.headers.remove("x-signature");
                "no signature"
            }
            1 => {
                request.headers.remove("x-key");
                "no key"
            }
            2 => {
                request.body.push(b' ');
                "changed body"
            }
            3 => {
                request.headers.entry("x-signature".into()).and_modify(|it| *it = it.to_uppercase());
                "upper-case signature"
            }
            _ => {
                let wrong = self.random.pick(&["", "0", "nö", "deadbeef"]);
                request.headers.insert("x-signature".into(), wrong.into());
                "wrong signature"
            }
        };
        Sample { what, request }
    }

    fn sign(&mut self, request: &mut Request) {
        let key = self.random.pick_early(&KEYS);
        let signature = sign(key, &request.method, &request.path, &request.body);
        request.headers.insert("x-key".into(), key.into());
        request.headers.insert("x-signature".into(), signature);
    }

    fn without_body(&mut self) -> Request {
        let method = self.random.pick_early(&["GET", "GET", "HEAD", "DELETE", "OPTIONS"]);
        let id = self.random.below(100_000);
        let path = match self.random.below(8) {
            0 => format!("/api/v1/users/{id}"),
            1 => format!("/api/v1/orders/{id}/items"),
            2 => format!("/api/v2/search/{}", self.random.pick(&["products", "users"])),
            3 => "/api/v1/日本語/ページ".to_owned(),
            4 => self.random.pick(&["/", "//", "", "/health", "/api/v1", "/api/v1/", "/api//v1//", "///"]).to_owned(),
            5 => format!("/static/img/{id:06x}.png"),
            6 => "/api/v1/files/a%20b%2Fc.txt".to_owned(),
            _ => "/API/V1/Users".to_owned(),
        };
        let path = self.untidy(&path) + &self.query();
        Request { method: method.into(), path, headers: self.headers(), body: Vec::new() }
    }

    fn with_json(&mut self, method: &str, path: &str, body: impl FnOnce(&mut Self) -> Vec<u8>) -> Request {
        let path = self.untidy(path) + &self.query();
        let mut headers = self.headers();
        headers.insert("content-type".into(), self.random.pick(&JSON_TYPES).into());
        Request { method: method.into(), path, headers, body: body(self) }
    }

    fn form(&mut self) -> Request {
        let mut headers = self.headers();
        headers.insert("content-type".into(), "application/x-www-form-urlencoded".into());
        let body = format!("user={}&password=hunter2&next=%2F%2Fhome", self.random.below(1000));
        let path = self.untidy("/api/v1/session");
        Request { method: "POST".into(), path, headers, body: body.into_bytes() }
    }

    fn upload(&mut self) -> Request {
        let mut headers = self.headers();
        headers.insert("content-type".into(), "application/octet-stream".into());
        let size = 1 << self.random.below(15);
        let body = (0..size).map(|_| self.random.next() as u8).collect();
        let path = self.untidy("/api/v1/files");
        Request { method: "PUT".into(), path, headers, body }
    }

    /// The path as clients send it: slashes doubled, one too many at the end.
    fn untidy(&mut self, path: &str) -> String {
        let mut untidy = path.to_owned();
        if self.random.chance(20) {
            untidy = untidy.replacen('/', self.random.pick(&["//", "///"]), 1 + self.random.below(3) as usize);
        }
        if self.random.chance(15) {
            untidy += self.random.pick(&["/", "//"]);
        }
        untidy
    }

    fn query(&mut self) -> String {
        match self.random.below(5) {
            0 => format!("?page={}&per_page=50", self.random.below(400)),
            1 => format!("?q={}&sort=-price//asc/", self.random.pick(&WORDS)),
            2 => self.random.pick(&["?", "??", "?next=/api/v1/x?y", "?tag=a&tag=b#top"]).to_owned(),
            _ => String::new(),
        }
    }

    fn headers(&mut self) -> BTreeMap<String, String> {
        let mut headers = BTreeMap::new();
        let mut add = |name: &str, value: String| headers.insert(name.to_owned(), value);
        add("host", format!("api-{}.example.com", self.random.below(4)));
        add("user-agent", self.random.pick(&AGENTS).to_owned());
        add("accept", "application/json, text/plain;q=0.9, */*;q=0.8".to_owned());
        add("x-request-id", format!("{:016x}{:016x}", self.random.next(), self.random.next()));
        if self.random.chance(60) {
            add("connection", "keep-alive".to_owned());
            add("keep-alive", "timeout=5, max=1000".to_owned());
        }
        if self.random.chance(40) {
            add("authorization", format!("Bearer eyJhbGciOiJIUzI1NiJ9.{:032x}", self.random.next()));
        }
        if self.random.chance(30) {
            let (a, b) = (self.random.next(), self.random.below(10_000));
            add("cookie", format!("session={a:x}; theme=dark; _ga=GA1.1.{b}; note=\"süß\""));
        }
        if self.random.chance(10) {
            add("via", "1.1 edge-7".to_owned());
        }
        if self.random.chance(10) {
            add("x-forwarded-prefix", "/edge".to_owned());
        }
        if self.random.chance(10) {
            add("x-empty", String::new());
        }
        headers
    }

    fn order(&mut self) -> Vec<u8> {
        let items = 1 + self.random.below(6);
        self.order_of(items)
    }

    fn large_order(&mut self) -> Vec<u8> {
        let items = 60 + self.random.below(240);
        self.order_of(items)
    }

    fn order_of(&mut self, items: u64) -> Vec<u8> {
        let mut json = Json::new(&mut self.random);
        let id = json.random.next() >> 1;
        json.member("id", &id.to_string());
        let name = json.random.pick(&NAMES);
        json.text("customer", name);
        json.member("paid", ["true", "false", "null"][id as usize % 3]);
        json.member("rate", ["0.1", "1e-7", "123456.789", "-0.5", "1E+2"][id as usize % 5]);
        json.open("items", '[');
        for _ in 0..items {
            let word = json.random.pick(&WORDS);
            let (price, quantity) = (json.random.below(500_000) as i64 - 1_000, json.random.below(20));
            json.open_element('{');
            json.text("sku", word);
            json.member("price", &price.to_string());
            json.member("quantity", &quantity.to_string());
            json.close('}');
        }
        json.close(']');
        if id.is_multiple_of(4) {
            json.text("password", "left over");
        }
        if id.is_multiple_of(8) {
            json.member("total", "-1");
        }
        json.finish()
    }

    fn profile(&mut self) -> Vec<u8> {
        let mut json = Json::new(&mut self.random);
        let (name, word) = (json.random.pick(&NAMES), json.random.pick(&WORDS));
        let followers = json.random.next() >> 1;
        json.text("name", name);
        json.text("password", "correct horse battery staple");
        json.open("settings", '{');
        json.text("password", "stays: it is not at the top");
        json.text(word, name);
        json.open("tags", '[');
        json.close(']');
        json.open("more", '{');
        json.close('}');
        json.close('}');
        json.member("followers", &followers.to_string());
        json.member("matrix", "[[1,2],[3.25,[]],[null,true,{}]]");
        json.finish()
    }

    fn login(&mut self) -> Vec<u8> {
        let mut json = Json::new(&mut self.random);
        let (user, word) = (json.random.below(5_000), json.random.pick(&WORDS));
        json.text("user", &format!("user{user}@example.com"));
        json.text("password", word);
        json.text("gateway", "not set by the client");
        json.finish()
    }

    fn bad(&mut self) -> Vec<u8> {
        self.random.pick(&BAD_JSON).to_vec()
    }
}

/// Writes an object as different clients do: with and without spaces, escaping much or little.
struct Json<'a> {
    random: &'a mut Random,
    text: String,
    spaced: bool,
    escape_all: bool,
}

impl<'a> Json<'a> {
    fn new(random: &'a mut Random) -> Self {
        let (spaced, escape_all) = (random.chance(40), random.chance(30));
        Json { random, text: "{".to_owned(), spaced, escape_all }
    }

    fn member(&mut self, name: &str, json: &str) {
        self.name(name);
        self.text += json;
    }

    fn text(&mut self, name: &str, value: &str) {
        self.name(name);
        self.string(value);
    }

    fn open(&mut self, name: &str, bracket: char) {
        self.name(name);
        self.text.push(bracket);
    }

    fn open_element(&mut self, bracket: char) {
        self.separate();
        self.text.push(bracket);
    }

    fn close(&mut self, bracket: char) {
        if self.spaced {
            self.text += "\r\n ";
        }
        self.text.push(bracket);
    }

    fn finish(mut self) -> Vec<u8> {
        self.close('}');
        self.text.into_bytes()
    }

    fn name(&mut self, name: &str) {
        self.separate();
        self.string(name);
        self.text += if self.spaced { " : " } else { ":" };
    }

    fn separate(&mut self) {
        if !self.text.ends_with(['{', '[']) {
            self.text.push(',');
        }
        if self.spaced {
            self.text += "\n\t";
        }
    }

    fn string(&mut self, value: &str) {
        self.text.push('"');
        for c in value.chars() {
            match c {
                '"' => self.text += "\\\"",
                '\\' => self.text += "\\\\",
                '\n' => self.text += "\\n",
                '\t' => self.text += "\\t",
                '/' if self.escape_all => self.text += "\\/",
                c if c < ' ' || (self.escape_all && !c.is_ascii()) => {
                    for unit in c.encode_utf16(&mut [0; 2]) {
                        write!(self.text, "\\u{unit:04x}").expect("a String takes everything");
                    }
                }
                c => self.text.push(c),
            }
        }
        self.text.push('"');
    }
}
