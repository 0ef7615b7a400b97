//! A small disk that can be filled: a file system in memory.

use std::fs::{self, File};
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::privilege::run_as_root;

/// Most bytes written at once.
const CHUNK_BYTES: usize = 1 << 20;
/// The file that takes the room that is left.
const FILLER: &str = "amends-filler";

/// A disk of limited size over a folder; it is unmounted when dropped.
#[derive(Debug)]
pub struct SmallDisk {
    place: PathBuf,
}

impl SmallDisk {
    /// Mounts an empty disk over an empty folder, for a user and group if not ours.
    ///
    /// # Errors
    ///
    /// [`crate::NotPermitted`] if we may not mount.
    pub(crate) fn mount(
        place: &Path,
        bytes: u64,
        owner: Option<(u32, u32)>,
    ) -> anyhow::Result<Self> {
        let (user, group) = owner.unwrap_or_default();
        let mut mount = Command::new("mount");
        mount
            .args(["-t", "tmpfs", "-o"])
            .arg(format!("size={bytes},mode=0700,uid={user},gid={group}"))
            .arg("amends-testbed")
            .arg(place);
        run_as_root(&mut mount)?;
        Ok(Self { place: place.to_owned() })
    }

    /// Takes all the room that is left; what is there stays, and may be overwritten. PostgreSQL opens
    /// sessions on a full disk only in databases that had one before.
    ///
    /// # Errors
    ///
    /// If writing fails for another reason than a full disk.
    pub fn fill(&self) -> anyhow::Result<()> {
        let mut filler = File::options().append(true).create(true).open(self.filler())?;
        let zeros = vec![0; CHUNK_BYTES];
        let mut size = CHUNK_BYTES;
        while size > 0 {
            match filler.write(zeros.get(..size).unwrap_or_default()) {
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::StorageFull => size /= 2,
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Gives the room back.
    ///
    /// # Errors
    ///
    /// If the disk was not filled.
    pub fn free(&self) -> anyhow::Result<()> {
        Ok(fs::remove_file(self.filler())?)
    }

    fn filler(&self) -> PathBuf {
        self.place.join(FILLER)
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: a process that just ends may still stand on it, and goes in a moment.
        let mut unmount = Command::new("umount");
        let _ = unmount.arg("--lazy").arg(&self.place).stderr(Stdio::null()).status();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::NotPermitted;

    #[test]
    fn a_disk_is_filled_freed_and_unmounted_even_by_a_panic() {
        let folder = tempfile::tempdir().unwrap();
        let disk = match SmallDisk::mount(folder.path(), 1 << 20, None) {
            Err(error) if error.is::<NotPermitted>() => return,
            disk => disk.unwrap(),
        };
        let file = folder.path().join("file");
        let place = folder.path().to_owned();
        let panicked = std::panic::catch_unwind(move || {
            disk.fill().unwrap();
            let full = fs::write(&file, "x").unwrap_err();
            assert_eq!(full.kind(), ErrorKind::StorageFull);
            disk.free().unwrap();
            fs::write(&file, "x").unwrap();
            assert!(disk.free().is_err());
            std::panic::resume_unwind(Box::new("done"));
        });
        assert_eq!(panicked.unwrap_err().downcast_ref(), Some(&"done"));
        assert_eq!(fs::read_dir(place).unwrap().count(), 0, "still mounted");
    }
}
