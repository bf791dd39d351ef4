//! Another replica comes to lead.

use jiff::SignedDuration;
use serde_json::json;
use tower::layer::util::Identity;

use super::{True, Way, bundle, says, scene, serve, touch, watch};
use crate::harness::{Operator, Scene, eventually};
use crate::tls::authority::{root, signed, valid};

#[tokio::test]
async fn who_comes_to_lead_does_not_look_at_all_at_once() {
    const COUNT: usize = 20;
    let scene = scene("takeover").await;
    let root = root("Root");
    let server = serve(&signed(valid(), &root), &[]).await;
    let way = Way::to(&server.address).await;
    let trusting = json!({ "caBundle": bundle(&root) });
    let first = Operator::replica(&scene, "first", Identity::new()).await;
    for number in 0..COUNT {
        let name = format!("check-{number}");
        watch(&scene, &name, &way.address(), trusting.clone()).await;
    }
    for number in 0..COUNT {
        says(&scene, &format!("check-{number}"), "Ready", True, "Valid").await;
    }
    let second = Operator::replica(&scene, "second", Identity::new()).await;
    let series = format!(
        r#"certwright_served_check_ready{{namespace="{}",name="check-0",target="{}",condition="True"}}"#,
        scene.namespace,
        way.address()
    );
    assert_eq!(second.metric(&series).await, None, "told once");
    let before = way.seen();
    first.stop().await;
    // It leads, and looks at what is new.
    watch(&scene, "new", &way.address(), trusting).await;
    says(&scene, "new", "Ready", True, "Valid").await;
    assert_eq!(second.metric(&series).await, Some(1.0));
    let anew = way.seen() - before - 1;
    assert!(
        anew < COUNT / 2,
        "{anew} were looked at again, whose turn it hardly was"
    );
    let statuses = |scene: &Scene<'_>| {
        let writes = scene.writes();
        let statuses = writes
            .iter()
            .filter(|write| write.starts_with("servedchecks/status"));
        statuses.count()
    };
    assert_eq!(statuses(&scene), COUNT + 1);

    // A day later, it is everybody's turn.
    let before = way.seen();
    scene.clock.advance(SignedDuration::from_hours(25));
    for number in 0..COUNT {
        touch(&scene, &format!("check-{number}")).await;
    }
    eventually("all were looked at again", async || match way.seen() {
        seen if seen >= before + COUNT => Ok(()),
        seen => Err(format!("{seen}")),
    })
    .await;
    assert_eq!(statuses(&scene), COUNT + 1, "nothing new was found");
    second.stop().await;
}
