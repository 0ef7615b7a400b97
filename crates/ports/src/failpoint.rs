//! Points at which a test build counts, and dies if it is told to.
//!
//! [`failpoint!`](crate::failpoint!) stands beside every write and every call. Nothing is left of
//! it in a build without the feature `failpoints`, which only the fault tests switch on
//! (`tests/faults`). With it, two environment variables are read:
//!
//! * `AMENDS_FAILPOINT=NAME:N` sends SIGKILL to the own process when it comes to the point `NAME`
//!   for the `N`th time: nothing is flushed, closed or dropped.
//! * `AMENDS_FAILPOINT_LOG=FILE` appends the name of every point that is come to.

/// A point at which a test build can be killed; its name says where: `postgres.batch.after-commit`.
#[cfg(not(feature = "failpoints"))]
#[macro_export]
macro_rules! failpoint {
    ($name:literal) => {};
}

/// A point at which a test build can be killed; its name says where: `postgres.batch.after-commit`.
#[cfg(feature = "failpoints")]
#[macro_export]
macro_rules! failpoint {
    ($name:literal) => {
        $crate::failpoint::hit($name)
    };
}

#[cfg(feature = "failpoints")]
pub use planned::hit;

#[cfg(feature = "failpoints")]
mod planned {
    use std::env;
    use std::fs::File;
    use std::io::Write as _;
    use std::sync::LazyLock;
    use std::sync::atomic::{AtomicU32, Ordering};

    use rustix::process::{Signal, getpid, kill_process};

    static PLAN: LazyLock<Plan> = LazyLock::new(Plan::of_environment);

    /// What is to happen at the points.
    struct Plan {
        /// Where to die, and how many times to come there until then.
        end: Option<(String, AtomicU32)>,
        log: Option<File>,
    }

    /// Says that the point was come to. Returns unless the process is to die here.
    pub fn hit(name: &'static str) {
        PLAN.hit(name);
    }

    impl Plan {
        #[expect(
            clippy::expect_used,
            reason = "a run that does not do as it is told proves nothing"
        )]
        fn of_environment() -> Self {
            let end = env::var("AMENDS_FAILPOINT").ok().map(|text| {
                let (name, count) = text.rsplit_once(':').expect("AMENDS_FAILPOINT=NAME:N");
                let count: u32 = count.parse().expect("AMENDS_FAILPOINT=NAME:N");
                (name.to_owned(), AtomicU32::new(count))
            });
            let log = env::var_os("AMENDS_FAILPOINT_LOG").map(|path| {
                let log = File::options().create(true).append(true).open(path);
                log.expect("the file of AMENDS_FAILPOINT_LOG")
            });
            Self { end, log }
        }

        fn hit(&self, name: &str) {
            if let Some(mut log) = self.log.as_ref() {
                // One write a line, so that those of two threads do not mix. A lost line shows as a
                // point that was never come to.
                let _ = log.write_all(format!("{name}\n").as_bytes());
            }
            if let Some((end, left)) = &self.end
                && end == name
                && left.fetch_sub(1, Ordering::SeqCst) == 1
            {
                // It cannot fail: the process is there and ours.
                let _ = kill_process(getpid(), Signal::KILL);
                loop {
                    std::thread::park();
                }
            }
        }
    }
}
