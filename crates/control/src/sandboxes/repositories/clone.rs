//! How a repository comes to its place: in one step, whole and at what it is to be at.
//!
//! It is cloned beside its place. A clone that was broken off is begun anew; one that lacks its commit stays where it was cloned, and whoever looks
//! again fetches what is new. What is in the sandbox says how far it came, so that it does not matter who asked for it and gave up.

use std::path::Path;
use std::time::Duration;

use bailiwick_model::limits::{REPOSITORY_CLONE_OUTPUT_BYTES, REPOSITORY_CLONE_TIME};
use bailiwick_policy::InForce;
use bailiwick_runtime::{
    Command, Error, Execution, ExecutionControl, ExitStatus, PathProblem, Sandbox, Signal, Streams,
};
use tokio::io::AsyncReadExt;

use super::{Checkout, CloneProblem, Repository};

/// A setting of a clone that says for which resource it was made.
const CLONE_OF: &str = "bailiwick.clone";

/// Where a repository is before it is in its place: beside it, so that a rename brings it there.
struct Staging {
    /// It is being cloned. What is here when a clone begins was broken off.
    begun: String,
    /// It is whole, and was not at what it is to be at.
    whole: String,
}

impl Repository {
    /// Makes it be there: whole and at what it is to be at, or not at all.
    pub(in crate::sandboxes) async fn clone_into(
        &self,
        sandbox: &dyn Sandbox<Policy = InForce>,
    ) -> Result<Result<(), CloneProblem>, Error> {
        let path = self.mount_path.as_str();
        if is_there(sandbox, path).await? {
            if self.is_at(sandbox, path).await? {
                return Ok(Ok(()));
            }
            // An empty directory is no obstacle to git either.
            if !succeeds(sandbox, &["rmdir", "--", path]).await? {
                return Ok(Err(CloneProblem::Taken));
            }
        }
        let Staging { begun, whole } = self.staging();
        let has_it = is_there(sandbox, &whole).await?;
        let fetched = if has_it {
            // Of a checkout that was broken off.
            let lock = format!("{whole}/.git/index.lock");
            succeeds(sandbox, &["rm", "-f", "--", &lock]).await?;
            git(sandbox, &["git", "-C", &whole, "fetch", "--quiet"]).await?
        } else {
            self.clone_to(sandbox, &begun).await?
        };
        if let Err(problem) = fetched {
            return Ok(Err(problem));
        }
        let from = if has_it { &whole } else { &begun };
        if !self.check_out(sandbox, from).await? {
            if !has_it {
                // It stays, to look again what it lacks.
                succeeds(sandbox, &["mv", "--", &begun, &whole]).await?;
            }
            return Ok(Err(CloneProblem::Checkout));
        }
        let moved = succeeds(sandbox, &["mv", "--", from, path]).await?;
        Ok(if moved {
            Ok(())
        } else {
            Err(CloneProblem::Clone)
        })
    }

    fn staging(&self) -> Staging {
        let above = self.mount_path.rsplit_once('/');
        let above = above.map_or("", |(above, _)| above);
        let id = &self.id;
        Staging {
            begun: format!("{above}/.clone-{id}"),
            whole: format!("{above}/.cloned-{id}"),
        }
    }

    /// Whether what is at a path is what was cloned here, which nobody took note of.
    async fn is_at(
        &self,
        sandbox: &dyn Sandbox<Policy = InForce>,
        path: &str,
    ) -> Result<bool, Error> {
        let pattern = format!("^{}$", self.id);
        let words = [
            "git", "-C", path, "config", "--local", "--get", CLONE_OF, &pattern,
        ];
        succeeds(sandbox, &words).await
    }

    async fn clone_to(
        &self,
        sandbox: &dyn Sandbox<Policy = InForce>,
        begun: &str,
    ) -> Result<Result<(), CloneProblem>, Error> {
        if is_there(sandbox, begun).await?
            && !succeeds(sandbox, &["rm", "-rf", "--", begun]).await?
        {
            return Ok(Err(CloneProblem::Clone));
        }
        let mark = format!("{CLONE_OF}={}", self.id);
        let mut argv = vec!["git", "clone", "--quiet", "--config", &mark];
        if let Some(Checkout::Branch { name }) = &self.checkout {
            argv.extend(["--branch", name]);
        }
        argv.extend(["--", &self.url, begun]);
        git(sandbox, &argv).await
    }

    /// A branch is checked out by its clone.
    async fn check_out(
        &self,
        sandbox: &dyn Sandbox<Policy = InForce>,
        at: &str,
    ) -> Result<bool, Error> {
        let Some(Checkout::Commit { sha }) = &self.checkout else {
            return Ok(true);
        };
        let words = [
            "git", "-C", at, "checkout", "--quiet", "--detach", sha, "--",
        ];
        succeeds(sandbox, &words).await
    }
}

/// A program that does not go on when nobody waits for it any more.
struct Program(Option<Box<dyn ExecutionControl>>);

impl Program {
    async fn ended(mut self) -> Result<ExitStatus, Error> {
        let status = match &self.0 {
            Some(control) => control.wait().await?,
            None => ExitStatus::Signaled(Signal::Kill.number()),
        };
        self.0 = None;
        Ok(status)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        if let (Some(control), Ok(runtime)) = (self.0.take(), tokio::runtime::Handle::try_current())
        {
            // A sandbox that is gone has no program either.
            runtime.spawn(async move { control.signal(Signal::Kill).await });
        }
    }
}

/// How a program did not end well.
enum Failed {
    /// There is none of that name.
    Missing,
    /// It complained.
    With(String),
}

/// Runs git to its end; what is wrong, by what it complained, if it did not end well.
async fn git(
    sandbox: &dyn Sandbox<Policy = InForce>,
    argv: &[&str],
) -> Result<Result<(), CloneProblem>, Error> {
    let ran = run(sandbox, argv).await?;
    Ok(ran.map_err(|failed| match failed {
        Failed::Missing => CloneProblem::NoGit,
        Failed::With(complaint) => CloneProblem::of(&complaint),
    }))
}

async fn succeeds(sandbox: &dyn Sandbox<Policy = InForce>, argv: &[&str]) -> Result<bool, Error> {
    Ok(run(sandbox, argv).await?.is_ok())
}

async fn run(
    sandbox: &dyn Sandbox<Policy = InForce>,
    argv: &[&str],
) -> Result<Result<(), Failed>, Error> {
    let mut command = Command::new(argv.iter().copied());
    command.env.insert("GIT_TERMINAL_PROMPT".into(), "0".into());
    // Its words are read.
    command.env.insert("LC_ALL".into(), "C".into());
    command.timeout = Some(REPOSITORY_CLONE_TIME);
    let Execution { streams, control } = match sandbox.exec(command).await {
        Ok(execution) => execution,
        Err(Error::CommandNotFound(_)) => return Ok(Err(Failed::Missing)),
        Err(error) => return Err(error),
    };
    let program = Program(Some(control));
    let (stdout, stderr) = match streams {
        Streams::Pipes { stdout, stderr, .. } => (stdout, stderr),
        Streams::Terminal { .. } => return Ok(Err(Failed::With(String::new()))),
    };
    let (_, complaint) = tokio::join!(read(stdout), read(stderr));
    match program.ended().await? {
        ExitStatus::Exited(0) => Ok(Ok(())),
        ExitStatus::Exited(_)
        | ExitStatus::Signaled(_)
        | ExitStatus::TimedOut
        | ExitStatus::OutOfMemory => Ok(Err(Failed::With(complaint))),
    }
}

/// Whether there is anything at a path.
async fn is_there(sandbox: &dyn Sandbox<Policy = InForce>, path: &str) -> Result<bool, Error> {
    match sandbox.look_at(Path::new(path)).await {
        Ok(_) => Ok(true),
        Err(Error::Path { problem, .. }) => Ok(match problem {
            PathProblem::NotFound | PathProblem::NotADirectory => false,
            PathProblem::NotAbsolute
            | PathProblem::NotAFile
            | PathProblem::PermissionDenied
            | PathProblem::TooLarge
            | PathProblem::TooSlow
            | PathProblem::NoSpace => true,
        }),
        Err(error) => Err(error),
    }
}

/// The beginning of what is printed; the rest is read and forgotten, so that nobody waits.
async fn read(mut source: bailiwick_runtime::ByteSource) -> String {
    let (mut kept, mut piece) = (Vec::new(), [0; 4096]);
    // Whoever kept the pipe open beyond its end is not waited for.
    let whole = async {
        while let Ok(bytes @ 1..) = source.read(&mut piece).await {
            let room = REPOSITORY_CLONE_OUTPUT_BYTES.saturating_sub(kept.len());
            kept.extend_from_slice(&piece[..bytes.min(room)]);
        }
    };
    let _ = tokio::time::timeout(REPOSITORY_CLONE_TIME + Duration::from_secs(5), whole).await;
    String::from_utf8_lossy(&kept).into_owned()
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::sync::{Arc, Mutex};

    use bailiwick_model::{ResourceId as _, SandboxId, SessionResourceId};
    use bailiwick_policy::{EgressPolicy, OrganizationFloor, Policy, SessionGrants, effective};
    use bailiwick_runtime::fake::{Fake, FakeBuilder, Invocation};
    use bailiwick_runtime::{Running, Runtime, SandboxSpec};
    use jiff::Timestamp;

    use super::*;

    const PATH: &str = "/workspace/app";
    const URL: &str = "https://github.com/owner/app";
    const SHA: &str = "0123456789";

    fn repository(checkout: Option<Checkout>) -> Repository {
        Repository {
            id: SessionResourceId::made(0, [0; 10]),
            url: URL.to_owned(),
            mount_path: PATH.to_owned(),
            checkout,
            target: None,
            updated_at: Timestamp::UNIX_EPOCH,
        }
    }

    fn at_commit() -> Repository {
        let sha = SHA.to_owned();
        repository(Some(Checkout::Commit { sha }))
    }

    /// Programs of a sandbox, and which of them ran.
    struct Programs {
        fake: FakeBuilder<InForce>,
        ran: Arc<Mutex<Vec<String>>>,
    }

    /// A sandbox with such programs.
    struct Stage {
        running: Running<InForce>,
        ran: Arc<Mutex<Vec<String>>>,
        _fake: Fake<InForce>,
    }

    impl Programs {
        fn new() -> Self {
            Self {
                fake: FakeBuilder::with_other_policies(),
                ran: Arc::default(),
            }
        }

        fn with(
            mut self,
            line: &str,
            does: impl Fn(&Invocation) -> u8 + Send + Sync + 'static,
        ) -> Self {
            let (ran, name) = (Arc::clone(&self.ran), line.to_owned());
            let argv: Vec<_> = line.split(' ').map(str::to_owned).collect();
            self.fake = self.fake.program(argv, move |it| {
                ran.lock().unwrap().push(name.clone());
                let code = does(&it);
                async move { code }
            });
            self
        }

        /// One that ends with this status, and leaves a file.
        fn leaves(self, line: &str, code: u8, file: &str) -> Self {
            let file = file.to_owned();
            self.with(line, move |it| {
                it.write_file(file.clone(), b"x");
                code
            })
        }

        fn ends(self, line: &str, code: u8) -> Self {
            self.with(line, move |_| code)
        }

        async fn stage(self) -> Stage {
            let fake = self.fake.build();
            let policy = effective(None, Some(EgressPolicy::limited()));
            let (floor, grants) = (OrganizationFloor::empty(), SessionGrants::none());
            let policy = Arc::new(Policy::compile(policy, &floor, &grants));
            let spec = SandboxSpec::new(SandboxId::from_random(1), policy.into());
            Stage {
                running: fake.start(spec).await.unwrap(),
                ran: self.ran,
                _fake: fake,
            }
        }
    }

    impl Stage {
        async fn clones(&self, repository: &Repository) -> Result<(), CloneProblem> {
            let sandbox = &*self.running.sandbox;
            repository.clone_into(sandbox).await.unwrap()
        }

        async fn has(&self, file: &str) {
            let written = self
                .running
                .sandbox
                .write_file(Path::new(file), b"x".to_vec(), 0o644);
            written.await.unwrap();
        }

        /// What ran since the last time.
        fn ran(&self) -> Vec<String> {
            std::mem::take(&mut self.ran.lock().unwrap())
        }

        async fn ends(self) {
            self.running.sandbox.stop(Duration::ZERO).await.unwrap();
        }
    }

    /// The lines that a clone runs, in their order.
    struct Lines {
        remove: String,
        clone: String,
        set_aside: String,
        fetch: String,
        unlock: String,
        place: String,
        place_later: String,
        check_out: String,
        check_out_later: String,
        begun: String,
        whole: String,
    }

    fn lines() -> Lines {
        let repository = repository(None);
        let (id, Staging { begun, whole }) = (&repository.id, repository.staging());
        let check_out = |at: &str| format!("git -C {at} checkout --quiet --detach {SHA} --");
        Lines {
            remove: format!("rm -rf -- {begun}"),
            clone: format!("git clone --quiet --config {CLONE_OF}={id} -- {URL} {begun}"),
            set_aside: format!("mv -- {begun} {whole}"),
            fetch: format!("git -C {whole} fetch --quiet"),
            unlock: format!("rm -f -- {whole}/.git/index.lock"),
            place: format!("mv -- {begun} {PATH}"),
            place_later: format!("mv -- {whole} {PATH}"),
            check_out: check_out(&begun),
            check_out_later: check_out(&whole),
            begun: format!("{begun}/.git/HEAD"),
            whole: format!("{whole}/.git/HEAD"),
        }
    }

    #[tokio::test]
    async fn a_commit_that_is_missing_is_told_as_such_again_and_nothing_is_cloned_twice() {
        let lines = lines();
        let is_pushed = Arc::new(AtomicBool::new(false));
        let found = Arc::clone(&is_pushed);
        let stage = Programs::new()
            .leaves(&lines.clone, 0, &lines.begun)
            .ends(&lines.check_out, 1)
            .leaves(&lines.set_aside, 0, &lines.whole)
            .ends(&lines.unlock, 0)
            .ends(&lines.fetch, 0)
            .with(&lines.check_out_later, move |_| {
                u8::from(!found.load(Ordering::Relaxed))
            })
            .ends(&lines.place_later, 0)
            .stage()
            .await;
        let repository = at_commit();
        let missing = Err(CloneProblem::Checkout);
        assert_eq!(stage.clones(&repository).await, missing);
        let first = [&lines.clone, &lines.check_out, &lines.set_aside];
        assert_eq!(stage.ran().iter().collect::<Vec<_>>(), first);
        assert_eq!(stage.clones(&repository).await, missing);
        let again = [&lines.unlock, &lines.fetch, &lines.check_out_later];
        assert_eq!(stage.ran().iter().collect::<Vec<_>>(), again);
        is_pushed.store(true, Ordering::Relaxed);
        assert_eq!(stage.clones(&repository).await, Ok(()));
        assert_eq!(stage.ran().last(), Some(&lines.place_later));
        stage.ends().await;
    }

    #[tokio::test]
    async fn what_a_clone_that_was_broken_off_left_goes_before_the_next() {
        let lines = lines();
        let programs = || {
            Programs::new()
                .ends(&lines.remove, 0)
                .ends(&lines.clone, 0)
                .ends(&lines.place, 0)
        };
        let repository = repository(None);
        let stage = programs().stage().await;
        assert_eq!(stage.clones(&repository).await, Ok(()));
        let control = [&lines.clone, &lines.place];
        assert_eq!(stage.ran().iter().collect::<Vec<_>>(), control);
        stage.ends().await;
        let stage = programs().stage().await;
        stage.has(&lines.begun).await;
        assert_eq!(stage.clones(&repository).await, Ok(()));
        let anew = [&lines.remove, &lines.clone, &lines.place];
        assert_eq!(stage.ran().iter().collect::<Vec<_>>(), anew);
        stage.ends().await;
    }

    #[tokio::test]
    async fn what_is_in_its_place_stays_and_is_told_unless_it_is_the_clone_itself() {
        let repository = repository(None);
        let ask = format!(
            "git -C {PATH} config --local --get {CLONE_OF} ^{}$",
            repository.id
        );
        let remove = format!("rmdir -- {PATH}");
        for (is_other, expect) in [(0, Ok(())), (1, Err(CloneProblem::Taken))] {
            let programs = Programs::new().ends(&ask, is_other).ends(&remove, 1);
            let stage = programs.stage().await;
            stage.has(&format!("{PATH}/file")).await;
            assert_eq!(stage.clones(&repository).await, expect);
            let removes = stage.ran().contains(&remove);
            assert_eq!(removes, is_other == 1);
            stage.ends().await;
        }
    }

    /// Says when it is dropped.
    struct Ended(Arc<AtomicBool>);

    impl Drop for Ended {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }

    #[tokio::test]
    async fn a_clone_that_nobody_waits_for_any_more_does_not_go_on() {
        let lines = lines();
        let has_ended = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&has_ended);
        let argv: Vec<_> = lines.clone.split(' ').map(str::to_owned).collect();
        let mut programs = Programs::new();
        programs.fake = programs.fake.program(argv, move |_| {
            let ended = Ended(Arc::clone(&told));
            async move {
                let _ended = ended;
                std::future::pending().await
            }
        });
        let stage = programs.stage().await;
        let repository = repository(None);
        let given_up = stage.clones(&repository);
        let given_up = tokio::time::timeout(Duration::from_millis(100), given_up).await;
        assert!(given_up.is_err() && !has_ended.load(Ordering::Relaxed));
        let ends = async {
            while !has_ended.load(Ordering::Relaxed) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let ended = tokio::time::timeout(Duration::from_secs(10), ends).await;
        ended.expect("it ends");
        stage.ends().await;
    }
}
