//! What a target's parts must have so that it can work.

use super::read::{Problem, is_http, problem};
use super::{Instances, Promote, Status, Target, Versions, has, http_template, placeholders};
use crate::nearest;
use crate::service::is_slot;

/// What a started instance's command and environment may have.
const OF_INSTANCE: [&str; 19] = [
    "program",
    "version",
    "generation",
    "slot",
    "sql_addr",
    "http_addr",
    "metadata_store",
    "metadata_server",
    "blob_store",
    "system_parameters",
    "binaries",
    "addr_a",
    "addr_b",
    "addr_c",
    "addr_d",
    "data_dir",
    "shared_dir",
    "run_dir",
    "target_dir",
];

/// What a container's may have.
const OF_CONTAINER: [&str; 11] = [
    "version",
    "generation",
    "slot",
    "sql_addr",
    "http_addr",
    "metadata_store",
    "metadata_server",
    "blob_store",
    "system_parameters",
    "data_dir",
    "shared_dir",
];

/// What the URLs of a started instance, and the command that promotes it, may have.
const OF_HAND_OVER: [&str; 9] = [
    "version",
    "generation",
    "slot",
    "sql_addr",
    "http_addr",
    "host",
    "shared_dir",
    "run_dir",
    "target_dir",
];

/// The same of an attached one: nobody gave it an address for a leader API.
const OF_ATTACHED: [&str; 8] = [
    "version",
    "generation",
    "slot",
    "sql_addr",
    "host",
    "shared_dir",
    "run_dir",
    "target_dir",
];

/// Refuses the first thing that cannot work.
pub(super) fn check(target: &Target) -> Result<(), Problem> {
    if !is_slot(&target.target.name) {
        return Err(problem(
            "target",
            "name",
            format!(
                "{:?} is no name; letters, digits, - and _ only",
                target.target.name
            ),
        ));
    }
    client(target)?;
    hand_over(target)?;
    instances(target)?;
    container(target)?;
    if let Some(Versions::Command(command)) = &target.versions {
        words(command, "versions", "command", &["target_dir"])?;
    }
    Ok(())
}

fn client(target: &Target) -> Result<(), Problem> {
    let client = &target.client;
    if !(is_http(&client.url) || is_postgres(&client.url)) {
        return Err(problem(
            "client",
            "url",
            format!(
                "{:?} is neither a postgres nor an http URL; write postgres://USER@{{sql_addr}}/DATABASE or http://{{http_addr}}",
                client.url
            ),
        ));
    }
    only(&client.url, "client", "url", &["sql_addr", "http_addr"])?;
    if placeholders(&client.url).count() != 1 {
        return Err(problem(
            "client",
            "url",
            "has not one address; clients need {sql_addr} or {http_addr}, where the front door's is put",
        ));
    }
    let asked = [
        ("client", "write", Some(&client.write), &["id", "value"][..]),
        ("client", "read", Some(&client.read), &["id"]),
        ("client", "version", client.version.as_ref(), &[]),
        ("client", "catalog", client.catalog.as_ref(), &[]),
        ("ready", "sql", target.ready.as_ref(), &[]),
    ];
    for (table, key, text, needed) in asked {
        let Some(text) = text else { continue };
        only(text, table, key, needed)?;
        if let Some(missing) = needed.iter().find(|name| !has(text, name)) {
            let words =
                format!("has no {{{missing}}}; without it clients cannot tell operations apart");
            return Err(problem(table, key, words));
        }
        request(text, client.speaks_http()).map_err(|words| problem(table, key, words))?;
    }
    for (index, text) in client.create.iter().enumerate() {
        only(text, "client", "create", &[]).map_err(|problem| problem.at(index))?;
        request(text, client.speaks_http())
            .map_err(|words| problem("client", "create", words).at(index))?;
    }
    if client.catalog.is_some() && client.speaks_http() {
        return Err(problem(
            "client",
            "catalog",
            "is there, although clients speak HTTP; objects are compared in SQL only",
        ));
    }
    if client.version.is_none() && target.ready.is_none() {
        return Err(problem(
            "client",
            "version",
            "is missing, and so is [ready]; one of them must tell whether an instance serves",
        ));
    }
    Ok(())
}

fn is_postgres(url: &str) -> bool {
    url.starts_with("postgres://") || url.starts_with("postgresql://")
}

fn request(text: &str, http: bool) -> Result<(), String> {
    match http {
        true => http_template(text).map(drop),
        false if text.trim().is_empty() => Err("is empty; write a statement".to_owned()),
        false => Ok(()),
    }
}

fn hand_over(target: &Target) -> Result<(), Problem> {
    let allowed: &[&str] = match target.instances {
        Instances::Attached(_) => &OF_ATTACHED,
        _ => &OF_HAND_OVER,
    };
    let asked = |url: &str, table| {
        only(url, table, "url", allowed)?;
        match is_http(url) {
            true => Ok(()),
            false => Err(problem(
                table,
                "url",
                format!("{url:?} is no http URL; write http://{{http_addr}}/PATH"),
            )),
        }
    };
    if let Status::Http(status) = &target.status {
        asked(&status.url, "status")?;
        let pointer = &status.json_pointer;
        if !pointer.is_empty() && !pointer.starts_with('/') {
            return Err(problem(
                "status",
                "json_pointer",
                format!("{pointer:?} is no JSON pointer; write one such as /status"),
            ));
        }
    }
    match &target.promote {
        Promote::LeaderApi => Ok(()),
        Promote::Http { url, method } => {
            let token = !method.is_empty() && method.bytes().all(|b| b.is_ascii_uppercase());
            if !token {
                let words = format!("{method:?} is no HTTP method; write one such as POST");
                return Err(problem("promote", "method", words));
            }
            asked(url, "promote")
        }
        Promote::Command(command) => words(command, "promote", "command", allowed),
    }
}

/// A started instance must be told every address at which it is looked for.
fn instances(target: &Target) -> Result<(), Problem> {
    let Instances::Started(template) = &target.instances else {
        return Ok(());
    };
    words(&template.command, "instance", "command", &OF_INSTANCE)?;
    no_password(&template.command, "instance")?;
    variables(&template.pass_env, "instance")?;
    for (name, value) in &template.env {
        only(value, "instance", "env", &OF_INSTANCE)
            .map_err(|problem| problem.at(name.as_str()))?;
    }
    for (path, text) in &template.files {
        for part in [path, text] {
            only(part, "instance", "files", &OF_INSTANCE)
                .map_err(|problem| problem.at(path.as_str()))?;
        }
    }
    let told = |name: &str| {
        let files = template.files.values();
        let texts = template.command.iter().chain(template.env.values());
        texts.chain(files).any(|text| has(text, name))
    };
    let status = match &target.status {
        Status::Http(status) => status.url.as_str(),
        Status::LeaderApi => "{http_addr}",
        Status::Query => "",
    };
    let promote = match &target.promote {
        Promote::Http { url, .. } => url,
        Promote::LeaderApi => "{http_addr}",
        Promote::Command(_) => "",
    };
    let looked_for = [
        ("clients", target.client.url.as_str()),
        ("the status", status),
        ("the promotion", promote),
    ];
    for (who, url) in looked_for {
        for address in ["sql_addr", "http_addr"] {
            if has(url, address) && !told(address) {
                return Err(problem(
                    "instance",
                    "command",
                    format!(
                        "has no {{{address}}}, where {who} will look for the instance; pass it on, or put it into instance.env"
                    ),
                ));
            }
        }
    }
    Ok(())
}

/// Refuses what no variable is called.
fn variables(names: &[String], table: &'static str) -> Result<(), Problem> {
    let tame = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let stranger = names
        .iter()
        .position(|name| name.is_empty() || !name.chars().all(tame));
    match stranger {
        None => Ok(()),
        Some(index) => {
            let words = "is no name of a variable; give letters, digits and _ only, as its value is Changeover's own";
            Err(problem(table, "pass_env", words).at(index))
        }
    }
}

fn container(target: &Target) -> Result<(), Problem> {
    let Some(container) = &target.container else {
        return Ok(());
    };
    variables(&container.pass_env, "container")?;
    let variants = container
        .variants
        .iter()
        .map(|variant| ("when", &variant.recipe));
    for (key, recipe) in std::iter::once(("command", &container.recipe)).chain(variants) {
        for text in recipe.texts() {
            only(text, "container", key, &OF_CONTAINER)?;
        }
        no_password(&recipe.command, "container")?;
        if let Some(path) = recipe.files.keys().find(|path| !path.starts_with('/')) {
            let words = format!("has a file {path:?}; give a path that begins with /");
            return Err(problem("container", key, words));
        }
    }
    if let Some(restart_loop) = &container.restart_loop
        && !restart_loop.restarts.contains("{code}")
    {
        let words = "has no {code} in restarts; without it nobody knows how the process ended";
        return Err(problem("container", "restart_loop", words));
    }
    match (&container.image, &target.target.image) {
        (None, None) => Err(problem(
            "container",
            "image",
            "is missing, and so is target.image; one of them must say what containers are made of",
        )),
        _ => Ok(()),
    }
}

fn words(command: &[String], table: &str, key: &str, allowed: &[&str]) -> Result<(), Problem> {
    for (index, word) in command.iter().enumerate() {
        only(word, table, key, allowed).map_err(|problem| problem.at(index))?;
    }
    Ok(())
}

/// Refuses a password among a process's arguments.
fn no_password(command: &[String], table: &str) -> Result<(), Problem> {
    match command.iter().position(|word| has(word, "metadata_server")) {
        None => Ok(()),
        Some(index) => {
            let words = format!(
                "has {{metadata_server}}, whose password everybody on the machine would see in the list of processes; put it into {table}.env"
            );
            Err(problem(table, "command", words).at(index))
        }
    }
}

/// Refuses placeholders that nobody would replace.
fn only(text: &str, table: &str, key: &str, allowed: &[&str]) -> Result<(), Problem> {
    match placeholders(text).find(|name| !allowed.contains(name)) {
        None => Ok(()),
        Some(stranger) => {
            let advice = match allowed {
                [] => "nothing is put in here".to_owned(),
                _ => nearest::suggestion(stranger, allowed.iter().copied()),
            };
            let words = format!("has an unknown placeholder {{{stranger}}}: {advice}");
            Err(problem(table, key, words))
        }
    }
}
