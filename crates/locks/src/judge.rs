//! What a server says about itself, and whether it can be a master of guards. Pure.

use std::time::Duration;

use amends_core::Timestamp;

/// Difference between two clocks from which on it is worth a word.
const CLOCK_OFF_MS_MAX: u64 = 500;

/// From the answer to `INFO`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Info {
    /// New with every start.
    pub(crate) run_id: String,
    /// Whole seconds since the start.
    pub(crate) uptime: Duration,
    role: String,
    mode: String,
    maxmemory: u64,
    maxmemory_policy: String,
}

impl Info {
    /// None if it doesn't say what must be known.
    pub(crate) fn read(text: &str) -> Option<Self> {
        let field = |name: &str| {
            let mut lines = text.lines().filter_map(|line| line.trim_end().split_once(':'));
            lines.find(|(key, _)| *key == name).map(|(_, value)| value)
        };
        Some(Self {
            run_id: field("run_id").filter(|id| !id.is_empty())?.to_owned(),
            uptime: Duration::from_secs(field("uptime_in_seconds")?.parse().ok()?),
            role: field("role")?.to_owned(),
            mode: field("redis_mode").unwrap_or("standalone").to_owned(),
            maxmemory: field("maxmemory").unwrap_or("0").parse().ok()?,
            maxmemory_policy: field("maxmemory_policy").unwrap_or("noeviction").to_owned(),
        })
    }

    /// Whether it is nobody's copy.
    pub(crate) fn is_master(&self) -> bool {
        self.role == "master"
    }

    /// Why it can't be relied on, and what to do; none if it can. `in_cluster`: it is asked as a
    /// part of a Redis Cluster.
    pub(crate) fn refusal(&self, in_cluster: bool) -> Option<String> {
        let policy = &self.maxmemory_policy;
        if !self.is_master() {
            Some(format!(
                "is a {}: its guards are copies that may be late; give the URL of its master",
                if self.role == "slave" { "replica" } else { &self.role }
            ))
        } else if self.mode == "cluster" && !in_cluster {
            Some(
                "is a part of a Redis Cluster; give the cluster as one URL, redis+cluster://…"
                    .to_owned(),
            )
        } else if self.maxmemory > 0 && policy != "noeviction" {
            Some(format!(
                "may drop guards when its memory is full (maxmemory-policy {policy}); set \
                 maxmemory-policy to noeviction"
            ))
        } else {
            None
        }
    }
}

/// A word about a master's clock if it is far off ours.
pub(crate) fn clock_warning(theirs: Timestamp, ours: Timestamp) -> Option<String> {
    let off_ms = theirs.0.abs_diff(ours.0) / 1000;
    (off_ms > CLOCK_OFF_MS_MAX).then(|| {
        let way = if theirs > ours { "ahead of" } else { "behind" };
        format!(
            "its clock is {off_ms} ms {way} this machine's; if it jumps, guards expire early or \
             late: synchronise the clocks"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info(lines: &str) -> Info {
        let text = format!("# Server\r\nredis_version:7.0.15\r\nrun_id:abc\r\n{lines}\r\n");
        Info::read(&text).unwrap()
    }

    #[test]
    fn a_plain_master_is_accepted() {
        let info = info(
            "uptime_in_seconds:12\r\nrole:master\r\nmaxmemory:0\r\nmaxmemory_policy:allkeys-lru",
        );
        assert_eq!((info.run_id.as_str(), info.uptime), ("abc", Duration::from_secs(12)));
        assert_eq!(info.refusal(false), None, "without a limit nothing is evicted");
    }

    #[test]
    fn evicting_masters_replicas_and_parts_of_clusters_are_refused() {
        let refusal = |lines: &str| info(&format!("uptime_in_seconds:1\r\n{lines}")).refusal(false);
        let evicting = "role:master\r\nmaxmemory:1000\r\nmaxmemory_policy:volatile-ttl";
        assert!(refusal(evicting).unwrap().contains("maxmemory-policy volatile-ttl"));
        assert!(refusal("role:slave").unwrap().starts_with("is a replica"));
        assert!(refusal("role:master\r\nredis_mode:cluster").unwrap().contains("redis+cluster://"));
        assert_eq!(refusal("role:master\r\nmaxmemory:1000\r\nmaxmemory_policy:noeviction"), None);
    }

    #[test]
    fn one_that_hides_who_it_is_is_not_judged() {
        assert_eq!(Info::read("# Server\r\nrole:master\r\n"), None);
        assert_eq!(Info::read(""), None);
    }

    #[test]
    fn clocks_half_a_second_off_get_a_word() {
        let now = Timestamp(1_767_225_600_000_000);
        assert_eq!(clock_warning(Timestamp(now.0 + 500_000), now), None);
        assert!(
            clock_warning(Timestamp(now.0 + 700_000), now).unwrap().contains("700 ms ahead of")
        );
        assert!(
            clock_warning(Timestamp(now.0 - 2_000_000), now).unwrap().contains("2000 ms behind")
        );
    }
}
