//! Searches in real trees.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::harness::Local;

pub(crate) async fn glob_finds_the_newest_first(local: &Local) {
    let session = local.session().await;
    session
        .prints(
            "mkdir -p src/a .git/x 'odd name'; for n in 1 2 3; do touch -d \"2020-01-0$n\" src/a/f$n.rs; done; touch -d 2020-01-09 src/z.rs; \
             touch .git/x/y.rs .hidden.rs 'odd name/n\newline.rs'; ln -s z.rs src/l.rs; touch -h -d 2020-01-08 src/l.rs",
        )
        .await;
    let glob = async |input| session.call("glob", input).await.as_text();
    assert_eq!(
        glob(json!({"pattern": "src/**/*.rs"})).await,
        ["z", "l", "a/f3", "a/f2", "a/f1"]
            .map(|name| format!("/workspace/src/{name}.rs"))
            .join("\n")
    );
    assert_eq!(
        glob(json!({"pattern": "*.rs", "path": "src"})).await,
        "/workspace/src/z.rs\n/workspace/src/l.rs"
    );
    assert_eq!(
        glob(json!({"pattern": "/workspace/src/a/f[12].rs"})).await,
        "/workspace/src/a/f2.rs\n/workspace/src/a/f1.rs"
    );
    assert_eq!(glob(json!({"pattern": "*.py"})).await, "no matches");
    let all = glob(json!({"pattern": "**/*"})).await;
    assert!(
        !all.contains(".git/")
            && all.contains(".hidden.rs")
            && all.contains("odd name/n\newline.rs"),
        "{all}"
    );
    let missing = session
        .call("glob", json!({"pattern": "*", "path": "nothing"}))
        .await;
    assert!(
        missing.is_error && missing.as_text().contains("no such file"),
        "{}",
        missing.as_text()
    );
    session
        .prints("mkdir many; for n in {1..300}; do : >many/$n; done")
        .await;
    let many = glob(json!({"pattern": "many/*"})).await;
    assert_eq!(many.lines().count(), 201);
    assert!(many.ends_with("[the newest 200 of 300 files]"), "{many}");
    session.stop().await;
}

pub(crate) async fn grep_finds_as_ripgrep_does(local: &Local) {
    let session = local.session().await;
    session
        .prints(
            "mkdir -p src/deep node_modules .hidden; printf 'fn one() {}\\nfn two() {}\\n' >src/a.rs; echo 'two fn' >src/deep/b.txt; \
             echo 'fn ignored' >node_modules/x.js; echo 'fn hidden' >.hidden/y; printf 'fn\\0binary' >src/bin; printf 'node_modules/\\n*.log\\n!keep.log\\n' >.gitignore; \
             echo fn >x.log; echo fn >keep.log; ln -s a.rs src/link.rs; mkdir src/closed; chmod 0 src/closed",
        )
        .await;
    let grep = async |input| session.call("grep", input).await.as_text();
    let found = grep(json!({"pattern": r"\bfn\b"})).await;
    assert_eq!(
        found.lines().take(4).collect::<Vec<_>>(),
        [
            "keep.log:1:fn",
            "src/a.rs:1:fn one() {}",
            "src/a.rs:2:fn two() {}",
            "src/deep/b.txt:1:two fn"
        ],
    );
    assert_eq!(
        grep(json!({"pattern": "^fn t", "path": "src/a.rs"})).await,
        "2:fn two() {}"
    );
    assert_eq!(
        grep(json!({"pattern": "two", "path": "src/deep"})).await,
        "src/deep/b.txt:1:two fn"
    );
    assert_eq!(
        grep(json!({"pattern": "(?i)TWO$", "path": "/workspace/src/deep"})).await,
        "no matches"
    );
    assert_eq!(
        grep(json!({"pattern": "hidden", "path": ".hidden/y"})).await,
        "1:fn hidden"
    );
    let wrong = session.call("grep", json!({"pattern": "(["})).await;
    assert!(
        wrong.is_error && wrong.as_text().contains("regex parse error"),
        "{}",
        wrong.as_text()
    );
    session
        .prints("yes 'a line that is found' | head -n 20000 >many.txt")
        .await;
    let many = grep(json!({"pattern": "found"})).await;
    assert!(
        many.len() <= 103_000 && many.contains("[output truncated"),
        "{}",
        many.len()
    );
    session.stop().await;
}

/// Measured: the times are printed.
pub(crate) async fn alone_twenty_thousand_files_are_searched(local: &Local) {
    let session = local.session().await;
    session
        .prints(
            "for d in {1..200}; do mkdir -p t/$d; for f in {1..100}; do echo \"line $f of $d\nneedle-$d-$f\nlast\" >t/$d/$f.txt; done; done",
        )
        .await;
    let begun = Instant::now();
    let grep = session
        .call("grep", json!({"pattern": "needle-(77|200)-100$"}))
        .await;
    let grep_took = begun.elapsed();
    assert_eq!(
        grep.as_text(),
        "t/200/100.txt:2:needle-200-100\nt/77/100.txt:2:needle-77-100"
    );
    let begun = Instant::now();
    let glob = session
        .call("glob", json!({"pattern": "**/77/9*.txt"}))
        .await;
    let glob_took = begun.elapsed();
    assert_eq!(glob.as_text().lines().count(), 11);
    println!("20 000 files: grep {grep_took:?}, glob {glob_took:?}");
    assert!(grep_took + glob_took < Duration::from_secs(120));
    session.stop().await;
}

pub(crate) async fn a_loop_of_links_ends(local: &Local) {
    let session = local.session().await;
    session
        .prints("mkdir d; ln -s . d/here; ln -s .. d/up; ln -s / root; echo needle >d/f; p=/workspace/deep; for n in {1..100}; do p=$p/x; done; mkdir -p $p; touch $p/f")
        .await;
    let grep = session.call("grep", json!({"pattern": "needle"})).await;
    assert!(
        grep.as_text().starts_with("d/f:1:needle"),
        "{}",
        grep.as_text()
    );
    let glob = session
        .call("glob", json!({"pattern": "**/f"}))
        .await
        .as_text();
    assert!(
        glob.starts_with("/workspace/d/f\n[not complete: directories more than 64 deep"),
        "{glob}"
    );
    session.stop().await;
}
