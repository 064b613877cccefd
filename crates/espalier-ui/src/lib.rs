//! The web app as bytes: the files that `build.rs` made of `web/`. Serving them is the server's part.

/// One file of the app.
#[derive(Debug)]
pub struct File {
    /// Its path below the root, without a slash before it.
    pub path: &'static str,
    /// Its entity tag, quoted.
    pub etag: &'static str,
    /// Its bytes.
    pub plain: &'static [u8],
    /// The same, compressed with Brotli, where that pays.
    pub brotli: Option<&'static [u8]>,
    /// The same, compressed with gzip, where that pays.
    pub gzip: Option<&'static [u8]>,
}

include!(concat!(env!("OUT_DIR"), "/files.rs"));

impl File {
    /// The media type.
    pub fn kind(&self) -> &'static str {
        match self.path.rsplit_once('.').map(|(_, end)| end) {
            Some("html") => "text/html; charset=utf-8",
            Some("js") => "text/javascript; charset=utf-8",
            Some("css") => "text/css; charset=utf-8",
            Some("svg") => "image/svg+xml",
            Some("woff2") => "font/woff2",
            Some("webmanifest") => "application/manifest+json",
            Some("png") => "image/png",
            _ => "application/octet-stream",
        }
    }

    /// Whether its name changes with its content, so that a browser may keep it for good.
    pub fn is_immutable(&self) -> bool {
        self.path.starts_with("assets/")
    }
}

/// Finds a file by its path below the root.
pub fn file(path: &str) -> Option<&'static File> {
    FILES.iter().find(|file| file.path == path)
}

/// The page that every address of the app begins with.
pub fn index() -> Option<&'static File> {
    file("index.html")
}

/// Every file of the app.
pub fn files() -> &'static [File] {
    FILES
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_and_what_it_loads_are_there() {
        let index = index().expect("there is always a page");
        let text = std::str::from_utf8(index.plain).unwrap();
        assert!(text.contains("Espalier"));
        for part in text.split("=\"/").skip(1) {
            let path = part.split('"').next().unwrap();
            let of_the_server = ["docs/", "health"].contains(&path);
            assert!(of_the_server || file(path).is_some(), "{path}");
        }
    }

    #[test]
    fn compressed_twins_are_smaller() {
        for file in files() {
            for twin in [file.brotli, file.gzip].into_iter().flatten() {
                assert!(
                    twin.len() < file.plain.len() || file.plain.len() < 200,
                    "{}",
                    file.path
                );
            }
        }
    }
}
