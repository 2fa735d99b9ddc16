//! Readers of RFCs, by name: which layout each of them reads, where it looks, and what else to set.

use std::path::{Path, PathBuf};

use clap::ValueEnum;
use p2p_ci::text::escaped;

use super::layout::Layout;

/// A reader of RFCs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Tool {
    /// rfc-mode of Emacs (galdor): ~/rfc.
    RfcMode,
    /// irfc of Emacs: ~/.emacs.d/RFC.
    Irfc,
    /// Find file at point, which is part of Emacs.
    Ffap,
    /// get-rfc of Emacs.
    GetRfc,
    /// rfcview of Emacs.
    Rfcview,
    /// The command rfc (bfontaine): $RFC_DIR, or RFCs in the cache folder.
    Rfc,
    /// The commands of ietf-tools (davlgd), with --offline: ietf-tools in the cache folder.
    IetfTools,
    /// rfc_reader (ozan2003), with --offline: rfc_reader in the cache folder.
    #[value(name = "rfc_reader", alias = "rfc-reader")]
    RfcReader,
    /// The command ietf, a crate (cy6erlion): ~/rfc.
    Ietf,
    /// vim-rfc (shurizzle): rfc in the cache folder.
    VimRfc,
    /// The command ietf of ietf-cli (paulehoffman).
    IetfCli,
    /// The import of rfc-mcp (higebu).
    RfcMcp,
}

/// The places that tools go by.
#[derive(Debug, Clone, Default)]
pub struct Places {
    /// `$HOME`.
    pub home: Option<PathBuf>,
    /// `$XDG_CACHE_HOME`, or else `.cache` at home.
    pub cache: Option<PathBuf>,
    /// `$RFC_DIR`.
    pub rfc_dir: Option<PathBuf>,
}

impl Places {
    /// Those of this process. As the XDG specification has it, a relative folder is none.
    #[must_use]
    pub fn of_environment() -> Self {
        let absolute = |name: &str| {
            let path = std::env::var_os(name).map(PathBuf::from);
            path.filter(|path| path.is_absolute())
        };
        let home = absolute("HOME");
        Self {
            cache: absolute("XDG_CACHE_HOME").or_else(|| home.as_ref().map(|home| home.join(".cache"))),
            // The one tool that has it takes a relative one as from where it is called.
            rfc_dir: std::env::var_os("RFC_DIR")
                .filter(|dir| !dir.is_empty())
                .map(PathBuf::from),
            home,
        }
    }
}

impl Tool {
    /// The name on the command line.
    #[must_use]
    pub fn name(self) -> String {
        let value = self.to_possible_value();
        value.map(|value| value.get_name().to_owned()).unwrap_or_default()
    }

    /// The layout that it reads.
    #[must_use]
    pub fn layout(self) -> Layout {
        match self {
            Self::RfcMode | Self::Irfc | Self::Ffap | Self::RfcReader | Self::RfcMcp => Layout::Flat,
            Self::GetRfc | Self::Rfcview => Layout::DebianGz,
            Self::Rfc => Layout::Number,
            Self::IetfTools => Layout::Sha256Url,
            Self::Ietf => Layout::NumberIndex,
            Self::VimRfc => Layout::NoExtension,
            Self::IetfCli => Layout::InNotes,
        }
    }

    /// Where it looks unless told otherwise; `None` where it has to be told, or the place is not known.
    #[must_use]
    pub fn target(self, places: &Places) -> Option<PathBuf> {
        let in_cache = |name: &str| places.cache.as_ref().map(|cache| cache.join(name));
        let at_home = |name: &str| places.home.as_ref().map(|home| home.join(name));
        match self {
            Self::RfcMode | Self::Ietf => at_home("rfc"),
            Self::Irfc => at_home(".emacs.d/RFC"),
            Self::Rfc => places.rfc_dir.clone().or_else(|| in_cache("RFCs")),
            Self::IetfTools => in_cache("ietf-tools"),
            Self::RfcReader => in_cache("rfc_reader"),
            // Its folder in there is a part of the layout.
            Self::VimRfc => places.cache.clone(),
            Self::Ffap | Self::GetRfc | Self::Rfcview | Self::IetfCli | Self::RfcMcp => None,
        }
    }

    /// What to tell the tool so that it looks into `target`.
    #[must_use]
    pub fn setting(self, target: &Path) -> String {
        let dir = escaped(&target.to_string_lossy()).to_string();
        match self {
            Self::RfcMode => format!("(setq rfc-mode-directory \"{dir}/\")"),
            Self::Irfc => format!("(setq irfc-directory \"{dir}/\")"),
            Self::Ffap => format!("(setq ffap-rfc-directories '(\"{dir}\"))"),
            Self::GetRfc => format!("(setq get-rfc-local-rfc-directory \"{dir}/links/\")"),
            Self::Rfcview => format!("(setq rfcview-rfc-location-pattern \"{dir}/links/rfc%s.txt.gz\")"),
            Self::Rfc => format!("RFC_DIR={dir} rfc 9110"),
            Self::IetfTools => format!("rfc --offline --cache-dir {dir} 9110"),
            Self::IetfCli => format!("MirrorDir = \"{dir}\" in ietf.config"),
            Self::RfcMcp => format!("rfc-mcp import-dir {dir}"),
            // Which always look into a folder of this name, in a place that can be moved.
            Self::RfcReader | Self::VimRfc => format!("XDG_CACHE_HOME, so that {dir} is the folder that it uses"),
            Self::Ietf => format!("HOME, so that {dir} is ~/rfc"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tools_look_where_they_look() {
        let places = Places {
            home: Some("/home/a".into()),
            cache: Some("/cache".into()),
            rfc_dir: None,
        };
        let targets: Vec<String> = Tool::value_variants()
            .iter()
            .map(|tool| {
                let target = tool.target(&places);
                let shown = target.map_or("-".into(), |path| path.display().to_string());
                format!("{} {} {shown}", tool.name(), tool.layout().name())
            })
            .collect();
        assert_eq!(
            targets,
            [
                "rfc-mode flat /home/a/rfc",
                "irfc flat /home/a/.emacs.d/RFC",
                "ffap flat -",
                "get-rfc debian-gz -",
                "rfcview debian-gz -",
                "rfc number /cache/RFCs",
                "ietf-tools sha256-url /cache/ietf-tools",
                "rfc_reader flat /cache/rfc_reader",
                "ietf number-index /home/a/rfc",
                "vim-rfc no-extension /cache",
                "ietf-cli in-notes -",
                "rfc-mcp flat -",
            ]
        );
        let told = Places {
            rfc_dir: Some("/rfcs".into()),
            ..places
        };
        assert_eq!(Tool::Rfc.target(&told), Some("/rfcs".into()));
        assert_eq!(Tool::Rfc.target(&Places::default()), None);
        assert!(Tool::Ffap.setting(Path::new("/r\u{1b}[2J")).contains("/r\\u{1b}[2J"));
    }
}
