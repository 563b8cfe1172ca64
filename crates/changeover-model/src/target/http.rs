//! Requests of a target whose clients speak HTTP, written as `METHOD path body`.

/// The parts of a request template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpTemplate {
    /// The method.
    pub method: String,
    /// The path, with a slash in front, and the query if there is one; with placeholders.
    pub path: String,
    /// The body, with placeholders; may be empty.
    pub body: String,
}

/// Reads `METHOD path body`; the body may be missing, and may hold spaces.
///
/// # Errors
///
/// When it is no such thing: a predicate.
pub fn http_template(text: &str) -> Result<HttpTemplate, String> {
    let text = text.trim();
    let (method, rest) = text.split_once(' ').unwrap_or((text, ""));
    let (path, body) = rest
        .trim_start()
        .split_once(' ')
        .unwrap_or((rest.trim_start(), ""));
    let is_method = !method.is_empty() && method.bytes().all(|b| b.is_ascii_uppercase());
    let visible = path.bytes().all(|b| b.is_ascii_graphic());
    if !is_method || !path.starts_with('/') || !visible {
        return Err(format!(
            "{text:?} is no request; clients speak HTTP, so write METHOD /path, and a body if there is one"
        ));
    }
    Ok(HttpTemplate {
        method: method.to_owned(),
        path: path.to_owned(),
        body: body.trim().to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_method_path_and_perhaps_a_body() {
        let parts = |text| http_template(text).map(|t| [t.method, t.path, t.body]);
        assert_eq!(parts("GET /sets/{id}").unwrap(), ["GET", "/sets/{id}", ""]);
        assert_eq!(
            parts(r#"POST /add {"id": "{id}", "value": {value}}"#).unwrap(),
            ["POST", "/add", r#"{"id": "{id}", "value": {value}}"#]
        );
        for bad in [
            "",
            "GET",
            "GET sets",
            "SELECT value",
            "get /a",
            "GET /\u{e9}",
        ] {
            assert!(http_template(bad).is_err(), "{bad:?}");
        }
    }
}
