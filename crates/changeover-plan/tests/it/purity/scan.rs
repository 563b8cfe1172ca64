//! Finds what a pure crate must not say. A scan of words, not a compiler: it is meant to catch a slip, and a `use`
//! that hides behind a rename is none.

/// Modules of `std` that do input, output, threads or look at the surroundings.
const MODULES: [&str; 8] = [
    "env",
    "fs",
    "net",
    "os",
    "process",
    "thread",
    "sync",
    "backtrace",
];

/// What of `std::io` is no input or output by itself: traits to be generic over, and their errors.
const IO_TRAITS: [&str; 8] = [
    "self",
    "BufRead",
    "Error",
    "ErrorKind",
    "Read",
    "Result",
    "Seek",
    "Write",
];

/// Words that are a clock, or randomness, wherever they stand.
const WORDS: [&str; 5] = [
    "Instant",
    "SystemTime",
    "RandomState",
    "UNIX_EPOCH",
    "thread_local",
];

/// Macros that print.
const MACROS: [&str; 5] = ["print", "println", "eprint", "eprintln", "dbg"];

/// What in this source, tests and comments aside, does I/O or looks at a clock.
pub(super) fn impurities(source: &str) -> Vec<String> {
    let tokens = without_tests(tokens(source));
    let mut found = Vec::new();
    let word_at = |at: usize| tokens.get(at).map(String::as_str).unwrap_or_default();
    for (at, token) in tokens.iter().enumerate() {
        if token == "std" && word_at(at + 1) == "::" {
            let mut paths = Vec::new();
            paths_from(&tokens, at + 2, &mut Vec::new(), &mut paths);
            found.extend(
                paths
                    .iter()
                    .filter(|path| !is_pure(path))
                    .map(|path| format!("std::{}", path.join("::"))),
            );
        }
        if WORDS.contains(&token.as_str()) {
            found.push(token.clone());
        }
        if MACROS.contains(&token.as_str()) && word_at(at + 1) == "!" {
            found.push(format!("{token}!"));
        }
        if ["stdin", "stdout", "stderr"].contains(&token.as_str()) && word_at(at + 1) == "(" {
            found.push(format!("{token}()"));
        }
    }
    found
}

fn is_pure(path: &[String]) -> bool {
    match path {
        [] => true,
        [module, rest @ ..] if module == "io" => match rest {
            [] => true,
            [item, ..] => IO_TRAITS.contains(&item.as_str()),
        },
        // Shared ownership is no concurrency.
        [module, item] if module == "sync" && item == "Arc" => true,
        [module, ..] => module != "*" && !MODULES.contains(&module.as_str()),
    }
}

/// Collects the paths that start at `at`, going into groups. Returns the index after them.
fn paths_from(
    tokens: &[String],
    mut at: usize,
    prefix: &mut Vec<String>,
    found: &mut Vec<Vec<String>>,
) -> usize {
    let depth = prefix.len();
    while let Some(token) = tokens.get(at) {
        if token == "{" {
            at += 1;
            while tokens.get(at).is_some_and(|t| t != "}") {
                at = match tokens[at].as_str() {
                    "," => at + 1,
                    _ => paths_from(tokens, at, prefix, found),
                };
            }
            prefix.truncate(depth);
            return at + 1;
        }
        prefix.push(token.clone());
        at += 1;
        if tokens.get(at).is_none_or(|t| t != "::") {
            break;
        }
        at += 1;
    }
    found.push(prefix.clone());
    prefix.truncate(depth);
    at
}

/// Words and punctuation of Rust source, without comments and without what is inside strings.
fn tokens(source: &str) -> Vec<String> {
    let chars: Vec<char> = source.chars().collect();
    let at = |i: usize| chars.get(i).copied().unwrap_or('\0');
    let mut tokens = Vec::new();
    let mut i = 0;
    while i < chars.len() {
        let c = chars[i];
        if c == '/' && at(i + 1) == '/' {
            while i < chars.len() && chars[i] != '\n' {
                i += 1;
            }
        } else if c == '/' && at(i + 1) == '*' {
            i += 2;
            while i < chars.len() && !(chars[i] == '*' && at(i + 1) == '/') {
                i += 1;
            }
            i += 2;
        } else if c == 'r'
            && (at(i + 1) == '"' || (at(i + 1) == '#' && matches!(at(i + 2), '"' | '#')))
        {
            i += 1;
            let mut hashes = 0;
            while at(i) == '#' {
                hashes += 1;
                i += 1;
            }
            i += 1;
            while i < chars.len() && !(chars[i] == '"' && (1..=hashes).all(|n| at(i + n) == '#')) {
                i += 1;
            }
            i += 1 + hashes;
        } else if c == '"' {
            i += 1;
            while i < chars.len() && chars[i] != '"' {
                i += if chars[i] == '\\' { 2 } else { 1 };
            }
            i += 1;
        } else if c == '\'' && at(i + 1) == '\\' {
            i += 3;
            while i < chars.len() && chars[i] != '\'' {
                i += 1;
            }
            i += 1;
        } else if c == '\'' && at(i + 2) == '\'' {
            i += 3;
        } else if c.is_alphanumeric() || c == '_' {
            let start = i;
            while i < chars.len() && (chars[i].is_alphanumeric() || chars[i] == '_') {
                i += 1;
            }
            tokens.push(chars[start..i].iter().collect());
        } else if c == ':' && at(i + 1) == ':' {
            tokens.push("::".to_owned());
            i += 2;
        } else {
            if !c.is_whitespace() {
                tokens.push(c.to_string());
            }
            i += 1;
        }
    }
    tokens
}

/// Leaves out every item behind `#[cfg(test)]`.
fn without_tests(tokens: Vec<String>) -> Vec<String> {
    const MARK: [&str; 7] = ["#", "[", "cfg", "(", "test", ")", "]"];
    let mut kept = Vec::new();
    let mut i = 0;
    while i < tokens.len() {
        let marked = MARK
            .iter()
            .zip(&tokens[i..])
            .filter(|(mark, token)| *mark == token)
            .count()
            == MARK.len();
        if !marked {
            kept.push(tokens[i].clone());
            i += 1;
            continue;
        }
        i += MARK.len();
        let mut depth = 0;
        while i < tokens.len() {
            match tokens[i].as_str() {
                "{" => depth += 1,
                "}" => depth -= 1,
                _ => {}
            }
            i += 1;
            let ended = matches!(tokens[i - 1].as_str(), "}" | ";");
            if ended && depth == 0 {
                break;
            }
        }
    }
    kept
}

#[test]
fn finds_what_it_must() {
    for (source, what) in [
        ("use std::fs;", "std::fs"),
        ("use std::{fmt, fs::File};", "std::fs::File"),
        ("use std::{fmt, io::{self, stdin}};", "std::io::stdin"),
        ("fn f() { std::thread::spawn(g); }", "std::thread::spawn"),
        ("let a = std::env::var(\"A\");", "std::env::var"),
        ("use std::net::{IpAddr, TcpStream};", "std::net::TcpStream"),
        ("use std::sync::Mutex;", "std::sync::Mutex"),
        ("use std::*;", "std::*"),
        ("let a = Instant::now();", "Instant"),
        ("std::time::SystemTime::now()", "SystemTime"),
        ("println!(\"a\")", "println!"),
        ("io::stdout().write_all(b)", "stdout()"),
        ("let c = '\"'; use std::fs; // '", "std::fs"),
        ("let c = '\\''; use std::fs;", "std::fs"),
        ("#[cfg(test)] mod a { fn b() {} } use std::fs;", "std::fs"),
    ] {
        let found = impurities(source);
        assert!(found.iter().any(|f| f == what), "{source}: {found:?}");
    }
}

#[test]
fn passes_what_it_may() {
    for source in [
        "use std::{fmt, collections::BTreeMap, time::Duration};",
        "use std::io::{self, BufRead, Write};",
        "// std::fs\n/* println!() */ let a = \"std::fs\"; let b = r#\"std::fs \"x\" \"#;",
        "#[cfg(test)] mod tests { use std::fs; fn f() { println!(\"{}\", 1); } }",
        "fn f<'a>(a: &'a str) -> std::fmt::Result { write!(f, \"{a}\") }",
        "use std::sync::Arc;",
    ] {
        assert_eq!(impurities(source), Vec::<String>::new(), "{source}");
    }
}
