//! The texts that shells are given.
//!
//! How the end of a command is known. A shell reads its commands from a pipe. Of each call it gets a few lines: one that empties its prompt,
//! the command as one quoted word for `eval`, behind an assignment of a number drawn for this call, and an assignment to the prompt. It is
//! interactive, without a terminal, so it prints that prompt, and with it the status and two numbers, on its own standard error, which is a
//! pipe of its own: the command's output and errors go to the other one, of which the shell keeps a copy where no command is likely to
//! close it. So the end comes from no command that somebody could have redefined, what a program prints is never taken for it, and SIGINT
//! brings the shell back to where it reads the next line, whatever it was doing.

use std::path::Path;

use crate::random;

/// The shell's copy of the pipe that output goes to: what a command does to the first three descriptors lasts as long as the command.
const OUTPUT: u8 = 254;

/// What is killed besides what the sandbox itself reports: see [`SWEEP`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Victims {
    /// What a command left behind when it was interrupted: processes that it started and that do not descend from the shell any more.
    Orphans,
    /// Everything that the command started.
    Started,
    /// Everything that the shell ever started.
    All,
}

impl Victims {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Orphans => "orphans",
            Self::Started => "started",
            Self::All => "all",
        }
    }
}

/// Arguments: the shell's process id and a word of [`Victims`]. Prints that it runs, reads how many milliseconds ago the command began, and
/// prints the shell's directory. What cannot be known to the hundredth of a second counts as started by the command.
///
/// A process is the shell's if it is of its session or descends from it. Processes come and go while they are looked at: the last round is
/// one in which there was none to be killed, whether or not the kill found it still there. Names of processes may hold anything; the fields that count
/// come after the last `)` (proc_pid_stat(5)): state, parent, group, session, and as the twentieth the start in hundredths of a second.
pub(super) const SWEEP: &str = r#"
shell=$1 what=$2
fields() {
    local text=
    IFS= read -r -d '' text 2>/dev/null <"/proc/$1/stat"
    [[ $text == *')'* ]] || return 1
    set -- ${text##*) }
    parent=$2 session=$4 start=${20}
}
echo ready
read -r since || exit 1
read -r now rest </proc/uptime || exit 1
from=$((10#${now/./} - since / 10 - 2))
cd -P "/proc/$shell/cwd" 2>/dev/null && pwd -P
cd /
for round in 1 2 3 4 5 6 7 8; do
    parents=() sessions=() starts=() found=
    for directory in /proc/[0-9]*; do
        pid=${directory#/proc/}
        fields "$pid" && parents[pid]=$parent sessions[pid]=$session starts[pid]=$start
    done
    for pid in "${!parents[@]}"; do
        ((pid == 1 || pid == shell || pid == $$)) && continue
        above=$pid
        while ((above > 1 && above != shell)); do above=${parents[above]:-0}; done
        ((sessions[pid] == shell || above == shell)) || continue
        case $what in
            orphans) ((starts[pid] >= from && above != shell)) || continue ;;
            started) ((starts[pid] >= from)) || continue ;;
        esac
        found=1
        kill -KILL "$pid" 2>/dev/null
    done
    [[ $found ]] || break
done
"#;

/// Writes to FILE what makes another shell like this one: directory, variables, functions, aliases, options. In a subshell, so that it
/// changes nothing. Variables that bash sets itself are left out, and so are functions named as what this protocol needs.
const KEEP: &str = r#"( __bailiwick_options="$(\builtin shopt -p; \builtin set +o)"
__bailiwick_mask="$(\builtin umask -p)"
__bailiwick_ifs="$(\builtin declare -p IFS)"
\builtin set +efuvx
IFS=$' \t\n'
\builtin printf 'builtin cd -- %q\n%s\n' "$PWD" "$__bailiwick_mask"
for __bailiwick_name in $(\builtin compgen -A variable); do
case $__bailiwick_name in
BASH|BASHOPTS|BASHPID|BASH_*|COMP_*|DIRSTACK|EPOCH*|EUID|FUNCNAME|GROUPS|HIST*|IFS|LINENO|PIPESTATUS|PPID|PS1|PS2|RANDOM|READLINE_*|SECONDS|SHELLOPTS|SHLVL|SRANDOM|UID|_|__bailiwick*) ;;
*) \builtin declare -p "$__bailiwick_name" ;;
esac
done
\builtin printf '%s\n' "$__bailiwick_ifs"
for __bailiwick_name in $(\builtin compgen -A function); do
case $__bailiwick_name in
builtin|eval|trap|unset|set|export|cd|.) ;;
*) \builtin declare -f "$__bailiwick_name" ;;
esac
done
\builtin alias -p
\builtin printf '%s\n%s\n' "$__bailiwick_options" 'WHOLE' ) >FILE 2>/dev/null"#;

/// The last line of a file that holds all that it should.
pub(super) const WHOLE: &str = ": the whole state of a shell";

/// What writes the state of the shell that runs it to a file.
pub(super) fn keep(file: &Path) -> String {
    KEEP.replace("WHOLE", WHOLE)
        .replace("FILE", &quoted(&file.to_string_lossy()))
}

/// One word of bash on one line, whatever the text holds.
pub(super) fn quoted(text: &str) -> String {
    let mut word = String::with_capacity(text.len() + 3);
    word.push_str("$'");
    for character in text.chars() {
        match character {
            '\n' => word.push_str("\\n"),
            '\t' => word.push_str("\\t"),
            '\\' => word.push_str("\\\\"),
            '\'' => word.push_str("\\'"),
            '\u{1}'..='\u{1f}' | '\u{7f}' => {
                word.push_str(&format!("\\x{:02x}", u32::from(character)));
            }
            _ => word.push(character),
        }
    }
    word.push('\'');
    word
}

/// The numbers of one call, which nobody can know before.
pub(super) struct Marks {
    begin: String,
    end: String,
}

/// What a shell said at the end of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Said {
    pub(super) status: u8,
    /// The number that the call began with, if all is well; the process id of a shell that has just started.
    pub(super) word: String,
}

impl Marks {
    pub(super) fn new() -> Self {
        let number = || format!("{:016x}{:016x}", random(), random());
        Self {
            begin: number(),
            end: number(),
        }
    }

    /// The lines of a call.
    pub(super) fn call(&self, command: &str) -> String {
        format!(
            "PS1=\n\\builtin eval {} </dev/null >&{OUTPUT} 2>&1\n{}",
            quoted(&format!("__bailiwick={}\n{command}", self.begin)),
            self.prompt("$__bailiwick"),
        )
    }

    /// The lines that make a shell say how it stands. Where the prompt cannot be set (`readonly PS1`), the second says that it cannot say it.
    pub(super) fn prompt(&self, word: &str) -> String {
        let end = &self.end;
        format!("PS1=\"bailiwick-{end}:$?:{word}.\"\n\\builtin printf 'bailiwick-{end}:1:.' >&2\n")
    }

    /// What the shell said, if it has. Its lines may have been printed too (`set -v`), unexpanded.
    pub(super) fn find(&self, prompts: &str) -> Option<Said> {
        let mark = format!("bailiwick-{}:", self.end);
        prompts.match_indices(&mark).find_map(|(at, mark)| {
            let (said, _) = prompts[at + mark.len()..].split_once('.')?;
            let (status, word) = said.split_once(':')?;
            Some(Said {
                status: status.parse().ok()?,
                word: word.to_owned(),
            })
        })
    }

    pub(super) fn began(&self, said: &Said) -> bool {
        said.word == self.begin
    }
}

/// The first lines of a shell.
pub(super) struct Beginning<'a> {
    /// Where it starts.
    pub(super) directory: &'a Path,
    /// Variables that are given to it by name and so are not taken away again.
    pub(super) variables: &'a [(String, String)],
    /// Where it leaves its state if it ends by itself.
    pub(super) state: &'a Path,
    /// The state that it takes over.
    pub(super) restored: Option<&'a Path>,
}

impl Beginning<'_> {
    /// Nothing of this may fail in a way that matters. What is restored comes last, since it may set options such as `-e`.
    pub(super) fn lines(&self, marks: &Marks) -> String {
        let mut lines = format!(
            "PS1= PS2=\n\
             \\exec {OUTPUT}>&1\n\
             \\builtin set +o history +o histexpand\n\
             \\builtin shopt -u checkwinsize mailwarn\n",
        );
        let directory = quoted(&self.directory.to_string_lossy());
        lines.push_str(&format!("\\builtin cd -- {directory} >/dev/null 2>&1\n"));
        if let Some(state) = self.restored {
            let state = quoted(&state.to_string_lossy());
            lines.push_str(&format!("\\builtin . {state} </dev/null >/dev/null 2>&1\n"));
        }
        lines.push_str(
            "\\builtin unset -v HISTFILE MAILCHECK TMOUT ${!ANTHROPIC_@} ${!BAILIWICK_@}\n",
        );
        for (name, value) in self.variables {
            lines.push_str(&format!("\\builtin export {name}={}\n", quoted(value)));
        }
        let keep = quoted(&keep(self.state));
        lines.push_str(&format!("\\builtin trap {keep} EXIT\n"));
        lines.push_str(&marks.prompt("$$"));
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_one_word_on_one_line() {
        assert_eq!(quoted("a'b\\c\nd\te\u{1b}ä"), r"$'a\'b\\c\nd\te\x1bä'");
        let call = Marks::new().call("echo '\n'; exit");
        assert_eq!(call.lines().count(), 4, "{call}");
    }

    #[test]
    fn an_end_needs_its_number_a_status_and_a_word() {
        let marks = Marks {
            begin: "b".to_owned(),
            end: "e".to_owned(),
        };
        let find = |prompts: &str| marks.find(prompts).map(|said| (said.status, said.word));
        let good = Some((3, "b".to_owned()));
        assert_eq!(find("bash$ bailiwick-e:3:b."), good);
        assert_eq!(
            find("PS1=\"bailiwick-e:$?:$__bailiwick.\"\nbailiwick-e:3:b."),
            good
        );
        for bad in [
            "bailiwick-e:3:b",
            "bailiwick-f:3:b.",
            "bailiwick-e:256:b.",
            "",
        ] {
            assert_eq!(find(bad), None, "{bad}");
        }
        let other = find("bailiwick-e:0:old.").unwrap();
        assert!(!marks.began(&Said {
            status: other.0,
            word: other.1
        }));
    }
}
