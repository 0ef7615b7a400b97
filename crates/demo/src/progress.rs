//! What is seen while sagas run: a bar on a terminal, a line now and then elsewhere.

use std::io::{IsTerminal as _, Write};
use std::sync::Mutex;

use indicatif::{ProgressBar, ProgressStyle};

use crate::audit::End;

/// How progress is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Show {
    /// A bar if standard error is a terminal, else lines; both on standard error.
    Auto,
    /// Nothing.
    Nothing,
}

/// Counts ends and shows the count.
pub struct Progress {
    count: Mutex<Count>,
    screen: Screen,
}

#[derive(Clone, Copy, Default)]
struct Count {
    total: u32,
    completed: u32,
    undone: u32,
    open: u32,
}

enum Screen {
    Bar(ProgressBar),
    Lines(Mutex<Box<dyn Write + Send>>),
    Nothing,
}

impl Progress {
    /// Progress towards `total` ends.
    pub fn new(total: u32, show: Show) -> Self {
        let screen = match show {
            Show::Nothing => Screen::Nothing,
            Show::Auto if std::io::stderr().is_terminal() => Screen::Bar(bar(total)),
            Show::Auto => Screen::Lines(Mutex::new(Box::new(std::io::stderr()))),
        };
        Self::on(total, screen)
    }

    fn on(total: u32, screen: Screen) -> Self {
        Self { count: Mutex::new(Count { total, ..Count::default() }), screen }
    }

    /// Counts one end; how many there are now.
    pub fn ended(&self, end: &End) -> u32 {
        let count = {
            let mut count = self.count.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            match end {
                End::Completed => count.completed += 1,
                End::Undone => count.undone += 1,
                End::Open(_) => count.open += 1,
            }
            *count
        };
        match &self.screen {
            Screen::Bar(bar) => {
                bar.set_message(count.words());
                bar.set_position(u64::from(count.ended()));
            }
            Screen::Lines(out) if count.is_worth_a_line() => {
                let line = format!("{}/{} sagas, {}", count.ended(), count.total, count.words());
                say(out, &line);
            }
            Screen::Lines(_) | Screen::Nothing => {}
        }
        count.ended()
    }

    /// Says something else that happens.
    pub fn note(&self, line: &str) {
        match &self.screen {
            Screen::Bar(bar) => bar.println(line),
            Screen::Lines(out) => say(out, line),
            Screen::Nothing => {}
        }
    }

    /// Takes the bar away.
    pub fn finish(&self) {
        if let Screen::Bar(bar) = &self.screen {
            bar.finish_and_clear();
        }
    }
}

impl Count {
    fn ended(self) -> u32 {
        self.completed + self.undone + self.open
    }

    /// A line for every tenth of the way.
    fn is_worth_a_line(self) -> bool {
        self.ended() == self.total || self.ended().is_multiple_of((self.total / 10).max(1))
    }

    fn words(self) -> String {
        let open = if self.open == 0 { String::new() } else { format!(", {} open", self.open) };
        format!("{} completed, {} undone{open}", self.completed, self.undone)
    }
}

fn bar(total: u32) -> ProgressBar {
    let template = "{bar:30} {pos}/{len} sagas, {msg} {elapsed}";
    let bar = ProgressBar::new(u64::from(total));
    match ProgressStyle::with_template(template) {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

/// Progress that can't be written is not worth failing for.
fn say(out: &Mutex<Box<dyn Write + Send>>, line: &str) {
    let mut out = out.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let _ = writeln!(out, "{line}");
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[derive(Clone, Default)]
    struct Paper(Arc<Mutex<Vec<u8>>>);

    impl Write for Paper {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn without_a_terminal_a_tenth_of_the_way_is_a_line() {
        let paper = Paper::default();
        let progress = Progress::on(20, Screen::Lines(Mutex::new(Box::new(paper.clone()))));
        for number in 0..19 {
            progress.ended(if number % 5 == 0 { &End::Undone } else { &End::Completed });
        }
        progress.note("payment is killed");
        progress.ended(&End::Open("suspended".to_owned()));
        let text = String::from_utf8(paper.0.lock().unwrap().clone()).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 11, "{text}");
        assert_eq!(lines[0], "2/20 sagas, 1 completed, 1 undone");
        assert_eq!(lines[9], "payment is killed");
        assert_eq!(lines[10], "20/20 sagas, 15 completed, 4 undone, 1 open");
    }
}
