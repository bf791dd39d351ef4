//! Logs: text for people, JSON for machines, both on standard error.

use std::io::IsTerminal;

use tracing::{Metadata, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;

use crate::cli::{LogFormat, LogSettings};

/// Sends the process's logs to standard error.
///
/// # Errors
/// When the process already has a subscriber.
pub fn install(settings: &LogSettings) -> anyhow::Result<()> {
    let colour = std::io::stderr().is_terminal();
    tracing::subscriber::set_global_default(subscriber(settings, std::io::stderr, colour))?;
    Ok(())
}

fn subscriber<W>(
    settings: &LogSettings,
    writer: W,
    colour: bool,
) -> Box<dyn Subscriber + Send + Sync>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let builder = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::from(&settings.filter))
        .with_writer(writer)
        .with_ansi(colour);
    let discreet = filter_fn(|metadata| !shows_answers(metadata));
    match settings.format {
        LogFormat::Text => Box::new(builder.with_target(false).finish().with(discreet)),
        // The spans' fields name the object; they stand in `spans`, the event's own at the top.
        LogFormat::Json => Box::new(
            builder
                .json()
                .flatten_event(true)
                .with_current_span(false)
                .finish()
                .with(discreet),
        ),
    }
}

/// Whether this may show what the API server answered. The client logs each answer that it can't read whole, so that half
/// of a Secret would stand in the log, its key included. What failed is logged by us, without that.
fn shows_answers(metadata: &Metadata<'_>) -> bool {
    metadata.is_event() && metadata.target().starts_with("kube_client::client")
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    use k8s_openapi::api::core::v1::Secret;
    use kube::client::Body;
    use kube::{Api, Client};
    use serde_json::{Value, json};
    use tracing::instrument::WithSubscriber as _;

    use super::*;

    #[test]
    fn json_has_one_object_for_each_line_with_the_fields_of_event_and_spans() {
        let text = logged(LogFormat::Json, "info");
        let mut line: Value = serde_json::from_str(text.trim_end()).unwrap();
        let taken = line.as_object_mut().unwrap().remove("timestamp");
        assert!(taken.is_some_and(|time| time.as_str().unwrap().ends_with('Z')));
        assert_eq!(
            line,
            json!({
                "level": "INFO",
                "target": "certwright::telemetry::tests",
                "message": "Issued certificate",
                "secret": "web-tls",
                "spans": [{ "name": "reconcile", "certificate": "shop/web" }],
            })
        );
    }

    #[test]
    fn text_has_the_sentence_and_its_fields_without_colour_codes() {
        let text = logged(LogFormat::Text, "info");
        assert!(
            text.ends_with(
                " INFO reconcile{certificate=shop/web}: Issued certificate secret=web-tls\n"
            ),
            "{text:?}"
        );
    }

    #[test]
    fn the_filter_leaves_out_what_it_names() {
        assert_eq!(logged(LogFormat::Text, "info,certwright=warn"), "");
        assert_eq!(logged(LogFormat::Text, "debug").lines().count(), 2);
    }

    #[tokio::test]
    async fn an_answer_that_breaks_off_within_a_secret_is_not_shown_at_any_level() {
        for filter in [
            "info",
            "trace",
            "kube_client=trace",
            "kube_client::client=warn",
        ] {
            for format in [LogFormat::Text, LogFormat::Json] {
                let sink = Sink::default();
                let writer = sink.clone();
                let settings = LogSettings {
                    format,
                    filter: filter.parse().unwrap(),
                };
                let subscriber = subscriber(&settings, move || writer.clone(), false);
                let broken_off = r#"{"metadata":{"name":"web-tls"},"data":{"tls.key":"c2VjcmV0"#;
                let answer = tower::service_fn(move |_: http::Request<Body>| async move {
                    let body = Body::from(broken_off.as_bytes().to_vec());
                    Ok::<_, std::convert::Infallible>(http::Response::new(body))
                });
                let secrets: Api<Secret> = Api::namespaced(Client::new(answer, "shop"), "shop");
                let read = secrets.get("web-tls").with_subscriber(subscriber).await;
                assert!(matches!(read, Err(kube::Error::SerdeError(_))), "{read:?}");
                let text = String::from_utf8(sink.0.lock().unwrap().clone()).unwrap();
                assert!(!text.contains("c2VjcmV0"), "{filter}: {text}");
            }
        }
    }

    /// What an `info` and a `debug` event in a span look like.
    fn logged(format: LogFormat, filter: &str) -> String {
        let sink = Sink::default();
        let writer = sink.clone();
        let settings = LogSettings {
            format,
            filter: filter.parse().unwrap(),
        };
        tracing::subscriber::with_default(
            subscriber(&settings, move || writer.clone(), false),
            || {
                let span = tracing::info_span!("reconcile", certificate = %"shop/web");
                let _entered = span.enter();
                tracing::info!(secret = %"web-tls", "Issued certificate");
                tracing::debug!("Nothing changed");
            },
        );
        String::from_utf8(sink.0.lock().unwrap().clone()).unwrap()
    }

    #[derive(Clone, Default)]
    struct Sink(Arc<Mutex<Vec<u8>>>);

    impl Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
}
