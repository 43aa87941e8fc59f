//! Skills of agents: where they come from, and where they go.

use std::io::{Cursor, Write as _};

use serde_json::{Value, json};
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use crate::Scene;
use crate::service::{ENVIRONMENT, call, rests};

fn zipped(files: &[(&str, &str, u32)]) -> Vec<u8> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    for (path, text, mode) in files {
        let options = SimpleFileOptions::default().unix_permissions(*mode);
        writer.start_file(*path, options).unwrap();
        writer.write_all(text.as_bytes()).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

fn manifest(name: &str) -> String {
    format!("---\nname: {name}\ndescription: Does it.\n---\n")
}

fn session_with(skills: &Value) -> Value {
    json!({"id": "sesn_1", "environment_id": ENVIRONMENT, "status": "running", "agent": {"skills": skills}})
}

fn read(id: &str, path: &str) -> Value {
    call(id, "read", json!({"file_path": path}))
}

#[tokio::test]
async fn skills_are_below_the_work_directory_before_the_first_call() {
    let scene = Scene::new().await;
    let service = &scene.service;
    let archive = zipped(&[
        ("top/SKILL.md", &manifest("pdf"), 0o644),
        ("top/scripts/run.sh", "echo it", 0o755),
    ]);
    service.has_skill("skill_1", archive.clone());
    service.has_skill(
        "pptx",
        zipped(&[("pptx/SKILL.md", &manifest("pptx"), 0o644)]),
    );
    let skills = json!([
        {"type": "custom", "skill_id": "skill_1", "version": "1759178010641129"},
        {"type": "anthropic", "skill_id": "pptx", "version": null},
    ]);
    service.session_is("sesn_1", session_with(&skills));
    service.happens("sesn_1", read("sevt_1", "skills/pdf/scripts/run.sh"));
    service.happens("sesn_1", read("sevt_2", "skills/pptx/SKILL.md"));
    service.queue("sesn_1");
    let working = scene.works();
    assert_eq!(
        scene.result("sesn_1", "sevt_1").await,
        ("echo it".to_owned(), false)
    );
    assert!(
        scene
            .result("sesn_1", "sevt_2")
            .await
            .0
            .contains("name: pptx")
    );
    let asked = |path: &str| service.asked().iter().any(|asked| asked.path == path);
    assert!(asked("/v1/skills/skill_1/versions/1759178010641129"));
    assert!(asked(
        "/v1/skills/skill_1/versions/skillver_skill_1_1759178010641129/content"
    ));
    assert!(asked("/v1/skills/pptx/versions/latest"));
    let skills = service.asked().into_iter();
    let mut skills = skills.filter(|asked| asked.path.starts_with("/v1/skills/"));
    assert!(skills.all(|asked| asked.key == "token-of-sesn_1"));
    // What is kept of the sandbox has them: they are not fetched again.
    service.happens("sesn_1", rests("sevt_3"));
    scene.asked("/stop", 1).await;
    let before = service.count("/content");
    service.happens("sesn_1", read("sevt_4", "skills/pdf/scripts/run.sh"));
    service.queue("sesn_1");
    assert_eq!(scene.result("sesn_1", "sevt_4").await.0, "echo it");
    assert_eq!(service.count("/content"), before);
    service.happens("sesn_1", rests("sevt_5"));
    scene.asked("/stop", 2).await;
    working.ends().await;
}

#[tokio::test]
async fn a_skill_that_leads_elsewhere_or_is_none_is_blocked_and_told() {
    let scene = Scene::new().await;
    let service = &scene.service;
    let good = manifest("good");
    service.has_skill("good", zipped(&[("good/SKILL.md", &good, 0o644)]));
    let escaping = [
        ("up/SKILL.md", &*manifest("up"), 0o644),
        ("up/../../evil", "x", 0o644),
    ];
    service.has_skill("escaping", zipped(&escaping));
    let named = zipped(&[("x/SKILL.md", &manifest("../../evil"), 0o644)]);
    service.has_skill("named", named);
    let mut link = ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default();
    link.start_file("link/SKILL.md", options).unwrap();
    link.write_all(manifest("link").as_bytes()).unwrap();
    link.add_symlink("link/passwd", "/etc/passwd", options)
        .unwrap();
    service.has_skill("link", link.finish().unwrap().into_inner());
    service.has_skill("text", b"no archive".to_vec());
    let ids = ["escaping", "named", "link", "text", "gone", "good"];
    let skills: Vec<_> = ids
        .iter()
        .map(|id| json!({"type": "custom", "skill_id": id, "version": "1"}))
        .collect();
    service.session_is("sesn_1", session_with(&json!(skills)));
    service.happens("sesn_1", call("sevt_1", "glob", json!({"pattern": "**/*"})));
    service.queue("sesn_1");
    let working = scene.works();
    let (found, _) = scene.result("sesn_1", "sevt_1").await;
    let (found, missing) = found.split_once("\n[").unwrap();
    assert_eq!(found, "/workspace/skills/good/SKILL.md");
    for id in &ids[..5] {
        assert!(
            missing.contains(&format!("the skill {id} is missing here")),
            "{missing}"
        );
    }
    assert!(!missing.contains("the skill good"));
    service.happens("sesn_1", rests("sevt_2"));
    scene.asked("/stop", 1).await;
    working.ends().await;
}
