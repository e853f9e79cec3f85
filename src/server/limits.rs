//! Who is told what the server refuses or cuts.

use super::Cut;

/// Is told how the server fares; never to block.
pub trait Observer: Send + Sync + 'static {
    /// Something was refused or cut.
    fn on_cut(&self, cut: Cut);
    /// The web configuration file was read, and is in force or was refused.
    fn on_web_config(&self, is_good: bool);
}
