//! Images made from nothing but files of this machine: no registry is asked.

use super::Engine;
use super::engine::refused;
use crate::RuntimeError;
use bollard::query_parameters::{ImportImageOptionsBuilder, RemoveImageOptions};
use bytes::Bytes;
use futures_util::StreamExt;
use serde_json::json;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The label that says what an image was made from.
const SOURCE: &str = "changeover.source";

/// The files of an image. What is added twice is there once.
pub struct Layer {
    tar: tar::Builder<Vec<u8>>,
    have: BTreeSet<PathBuf>,
}

impl Default for Layer {
    fn default() -> Self {
        Layer::new()
    }
}

impl Layer {
    /// Nothing but a place for temporary files.
    pub fn new() -> Self {
        let mut layer = Layer {
            tar: tar::Builder::new(Vec::new()),
            have: BTreeSet::new(),
        };
        // Writing to memory does not fail.
        let _ = layer.directory("/tmp", 0o1777);
        layer
    }

    /// A directory.
    ///
    /// # Errors
    ///
    /// When the path is none that an archive can have.
    pub fn directory(&mut self, path: &str, mode: u32) -> io::Result<()> {
        if !self.have.insert(PathBuf::from(path)) {
            return Ok(());
        }
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::Directory);
        header.set_mode(mode);
        header.set_size(0);
        self.tar
            .append_data(&mut header, path.trim_start_matches('/'), io::empty())
    }

    /// A file with this content.
    ///
    /// # Errors
    ///
    /// See [`Layer::directory`].
    pub fn file(&mut self, path: &str, content: &[u8], mode: u32) -> io::Result<()> {
        if !self.have.insert(PathBuf::from(path)) {
            return Ok(());
        }
        let mut header = tar::Header::new_gnu();
        header.set_mode(mode);
        header.set_size(content.len() as u64);
        self.tar
            .append_data(&mut header, path.trim_start_matches('/'), content)
    }

    /// A file of this machine, at another place or the same.
    ///
    /// # Errors
    ///
    /// When it cannot be read.
    pub fn copy(&mut self, from: &Path, to: &str) -> io::Result<()> {
        let named =
            |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", from.display()));
        let mode = fs::metadata(from).map_err(named)?.permissions().mode();
        self.file(to, &fs::read(from).map_err(named)?, mode & 0o7777)
    }

    /// Everything below a directory of this machine, at the same place. Links are followed.
    ///
    /// # Errors
    ///
    /// When something cannot be read.
    pub fn tree(&mut self, directory: &Path) -> io::Result<()> {
        for entry in fs::read_dir(directory)? {
            let path = entry?.path();
            match fs::metadata(&path)?.is_dir() {
                true => self.tree(&path)?,
                false => self.copy(&path, &path.to_string_lossy())?,
            }
        }
        Ok(())
    }

    /// A program of this machine, with the libraries that it wants.
    ///
    /// # Errors
    ///
    /// When one of them cannot be read.
    pub fn program(&mut self, from: &Path, to: &str) -> io::Result<()> {
        self.copy(from, to)?;
        self.libraries(from)
    }

    /// The libraries that a program, or a library, wants.
    ///
    /// # Errors
    ///
    /// When one of them cannot be read.
    pub fn libraries(&mut self, of: &Path) -> io::Result<()> {
        for library in libraries(of)? {
            self.copy(&library, &library.to_string_lossy())?;
        }
        Ok(())
    }

    fn finish(self) -> io::Result<Vec<u8>> {
        self.tar.into_inner()
    }
}

/// What the dynamic loader would load; nothing for a program without one.
fn libraries(of: &Path) -> io::Result<Vec<PathBuf>> {
    let told = Command::new("ldd").arg(of).output()?;
    let text = String::from_utf8_lossy(&told.stdout).into_owned();
    if let Some(missing) = text.lines().find(|line| line.contains("not found")) {
        return Err(io::Error::other(format!(
            "{} wants {}",
            of.display(),
            missing.trim()
        )));
    }
    // `name => /path (address)`, or `/path (address)` for the loader itself.
    Ok(text
        .lines()
        .filter_map(|line| {
            let (path, _) = line.trim().rsplit_once(" (")?;
            let path = path.rsplit_once("=> ").map_or(path, |(_, path)| path);
            path.starts_with('/').then(|| PathBuf::from(path))
        })
        .collect())
}

/// An image to make of a layer.
#[derive(Debug, Clone, Default)]
pub struct Image {
    /// Its name and tag.
    pub name: String,
    /// What is started in it.
    pub entrypoint: Vec<String>,
    /// Its environment.
    pub env: BTreeMap<String, String>,
}

/// What tells one build of a program from the next, cheaply.
///
/// # Errors
///
/// When the program is not there.
pub fn source_of(program: &Path) -> io::Result<String> {
    let seen = fs::metadata(program)?;
    Ok(format!(
        "{} {} {}.{}",
        program.display(),
        seen.len(),
        seen.mtime(),
        seen.mtime_nsec()
    ))
}

impl Engine {
    /// Whether an image is there that was made from this source.
    pub async fn is_made_from(&self, image: &str, source: &str) -> bool {
        let seen = self.docker.inspect_image(image).await;
        let labels = seen.ok().and_then(|seen| seen.config?.labels);
        labels.is_some_and(|labels| labels.get(SOURCE).is_some_and(|made| made == source))
    }

    /// Makes images of one layer and takes what had their names before away from the engine.
    ///
    /// # Errors
    ///
    /// When the engine does not take them.
    pub async fn load(
        &self,
        layer: Layer,
        source: &str,
        images: &[Image],
    ) -> Result<(), RuntimeError> {
        let names: Vec<&str> = images.iter().map(|image| image.name.as_str()).collect();
        let what = format!("image {}", names.join(", "));
        let archive = layer
            .finish()
            .and_then(|layer| archive(&layer, source, images))
            .map_err(|error| RuntimeError::new(format!("{what} cannot be packed: {error}")))?;
        let mut before = Vec::new();
        for name in names {
            before.extend(
                self.docker
                    .inspect_image(name)
                    .await
                    .ok()
                    .and_then(|seen| seen.id),
            );
        }
        let options = ImportImageOptionsBuilder::default().quiet(true).build();
        let body = bollard::body_full(Bytes::from(archive));
        let mut steps = self.docker.import_image(options, body, None);
        while let Some(step) = steps.next().await {
            step.map_err(|error| refused(&what, &error))?;
        }
        for id in before {
            // One that is still in use, or has another name, stays.
            let _ = self
                .docker
                .remove_image(&id, None::<RemoveImageOptions>, None)
                .await;
        }
        Ok(())
    }
}

/// What `docker load` reads: a manifest, a configuration for each image, and the layer that they share.
fn archive(layer: &[u8], source: &str, images: &[Image]) -> io::Result<Vec<u8>> {
    let digest = hex(&Sha256::digest(layer));
    let layer_path = format!("{digest}/layer.tar");
    let mut tar = tar::Builder::new(Vec::new());
    let mut add = |path: &str, content: &[u8]| {
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o644);
        header.set_size(content.len() as u64);
        tar.append_data(&mut header, path, content)
    };
    add(&layer_path, layer)?;
    let mut manifest = Vec::new();
    for image in images {
        let env: Vec<String> = image.env.iter().map(|(k, v)| format!("{k}={v}")).collect();
        let config = json!({
            "architecture": architecture(),
            "os": "linux",
            "config": {
                "Entrypoint": image.entrypoint,
                "Env": env,
                "Labels": { SOURCE: source },
            },
            "rootfs": { "type": "layers", "diff_ids": [format!("sha256:{digest}")] },
        })
        .to_string();
        let path = format!("{}.json", hex(&Sha256::digest(config.as_bytes())));
        add(&path, config.as_bytes())?;
        manifest.push(json!({
            "Config": path,
            "RepoTags": [image.name],
            "Layers": [layer_path],
        }));
    }
    let manifest = serde_json::Value::Array(manifest).to_string();
    add("manifest.json", manifest.as_bytes())?;
    tar.into_inner()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// This machine's, as images call it.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_comes_with_its_loader_and_libraries() {
        let shell = Path::new("/bin/sh");
        let found = libraries(shell).unwrap();
        assert!(found.iter().all(|path| path.exists()), "{found:?}");
        let mut layer = Layer::new();
        layer.program(shell, "/bin/sh").unwrap();
        layer.program(shell, "/bin/sh").unwrap();
        let tar = layer.finish().unwrap();
        let mut archive = tar::Archive::new(&tar[..]);
        let paths: Vec<PathBuf> = archive
            .entries()
            .unwrap()
            .map(|entry| entry.unwrap().path().unwrap().into_owned())
            .collect();
        assert_eq!(paths[..2], [Path::new("tmp"), Path::new("bin/sh")]);
        assert_eq!(paths.len(), 2 + found.len());
    }
}
