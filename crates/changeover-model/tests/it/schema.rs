//! `docs/target.schema.json` is what the types say, and allows what the targets of this repository say.

use changeover_model::target::{Target, TargetFile};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};

fn workspace() -> PathBuf {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2);
    crates.expect("the crate lies two levels below").to_owned()
}

fn schema() -> Value {
    schemars::schema_for!(TargetFile).to_value()
}

#[test]
fn the_schema_is_up_to_date() {
    let file = workspace().join("docs/target.schema.json");
    let text = format!("{}\n", serde_json::to_string_pretty(&schema()).unwrap());
    if std::env::var_os("CHANGEOVER_UPDATE").is_some() {
        fs::write(&file, &text).unwrap();
    }
    assert!(
        fs::read_to_string(&file).unwrap_or_default() == text,
        "docs/target.schema.json is stale; run with CHANGEOVER_UPDATE=1"
    );
}

/// The targets of this repository: built-in ones and examples.
fn targets() -> Vec<PathBuf> {
    let folders = ["targets", "examples"].map(|name| workspace().join(name));
    let entries = folders
        .iter()
        .flat_map(|folder| fs::read_dir(folder).unwrap());
    let files = entries.map(|entry| entry.unwrap().path().join("target.toml"));
    files.filter(|file| file.exists()).collect()
}

#[test]
fn the_schema_allows_every_target_of_this_repository() {
    let schema = schema();
    let targets = targets();
    assert!(targets.len() >= 2, "{targets:?}");
    for file in targets {
        let text = fs::read_to_string(&file).unwrap();
        Target::parse(&text).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
        let value: Value = toml::from_str(&text).unwrap();
        let found = objections(&schema, &schema, &value, "");
        assert_eq!(found, [""; 0], "{}", file.display());
    }
}

#[test]
fn the_schema_refuses_a_key_too_many_one_too_few_and_another_type() {
    let schema = schema();
    let refused = |text: &str| {
        let value: Value = toml::from_str(text).unwrap();
        objections(&schema, &schema, &value, "")
    };
    let sound = "target = { name = 'x' }\nclient = { write = 'w', read = 'r' }";
    assert_eq!(refused(sound), [""; 0]);
    assert_eq!(
        refused(&format!("{sound}\nclints = 3")),
        [".clints is no key"]
    );
    assert_eq!(refused(&sound.replace("read", "raed")).len(), 2);
    assert_eq!(
        refused(&sound.replace("'r'", "3")),
        [".client.read is no \"string\""]
    );
    let mapped = "status = { url = 'u', map = { up = 'Leader' } }";
    assert_eq!(refused(&format!("{sound}\n{mapped}")).len(), 1);
}

/// What a schema has against a value, in the part of JSON Schema that ours uses.
fn objections(root: &Value, schema: &Value, value: &Value, at: &str) -> Vec<String> {
    if let Some(name) = schema["$ref"].as_str() {
        let target = root.pointer(name.trim_start_matches('#')).unwrap();
        return objections(root, target, value, at);
    }
    for choices in ["anyOf", "oneOf"] {
        if let Some(choices) = schema[choices].as_array() {
            let tried = choices
                .iter()
                .map(|choice| objections(root, choice, value, at));
            return tried.min_by_key(Vec::len).unwrap_or_default();
        }
    }
    if let Some(constant) = schema.get("const") {
        return match value == constant {
            true => Vec::new(),
            false => vec![format!("{at} is not {constant}")],
        };
    }
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    let is = |wanted: &Value| wanted == kind || (wanted == "number" && kind == "integer");
    let right = match &schema["type"] {
        Value::Array(kinds) => kinds.iter().any(is),
        wanted => is(wanted),
    };
    if !right {
        return vec![format!("{at} is no {}", schema["type"])];
    }
    match value {
        Value::Object(fields) => of_object(root, schema, fields, at),
        Value::Array(items) => {
            let items = items.iter().enumerate();
            items
                .flat_map(|(n, item)| {
                    objections(root, &schema["items"], item, &format!("{at}[{n}]"))
                })
                .collect()
        }
        _ => Vec::new(),
    }
}

fn of_object(
    root: &Value,
    schema: &Value,
    fields: &serde_json::Map<String, Value>,
    at: &str,
) -> Vec<String> {
    let required = schema["required"].as_array().into_iter().flatten();
    let missing = required
        .filter_map(Value::as_str)
        .filter(|key| !fields.contains_key(*key))
        .map(|key| format!("{at} has no {key}"));
    let others = &schema["additionalProperties"];
    let wrong = fields.iter().flat_map(|(key, value)| {
        let at = format!("{at}.{key}");
        match schema["properties"].get(key) {
            Some(schema) => objections(root, schema, value, &at),
            None if others.is_object() => objections(root, others, value, &at),
            None => vec![format!("{at} is no key")],
        }
    });
    missing.chain(wrong).collect()
}
