use std::time::Duration;

use certwright_core::api::Group;
use certwright_core::api::certificate::RolloutStrategy;
use certwright_core::rollout::Defaults;
use clap::CommandFactory;
use jiff::SignedDuration;

use super::*;
use crate::cluster::scope::Scope;
use crate::outside::AllowedTargets;
use crate::probe::StartTls;

/// No ServiceAccount.
const NOWHERE: &str = "/nonexistent";

fn parsed(arguments: &[&str]) -> Result<Command, clap::Error> {
    Arguments::try_parse_from([&["certwright"], arguments].concat())
        .map(|arguments| arguments.into_command(Path::new(NOWHERE)))
}

#[test]
fn run_has_these_defaults() {
    assert_eq!(
        parsed(&["run"]).unwrap(),
        Command::Run(Box::new(RunSettings {
            group: Group::default(),
            namespace: "certwright".into(),
            scope: Scope::Cluster,
            cluster_issuers: true,
            rollout: Some(RolloutSettings::default()),
            outside: OutsideSettings::default(),
            private_networks: Vec::new(),
            served_check_targets: AllowedTargets::default(),
            resolvers: Vec::new(),
            http01: Some(Http01Settings {
                listen: "[::]:8089".parse().unwrap(),
                service: "certwright-http01".into(),
            }),
            cluster_resource_namespace: "certwright".into(),
            concurrency: 32,
            ca_overlap: SignedDuration::from_hours(1),
            renew_throttle: SignedDuration::from_mins(5),
            renewal_info_spread: SignedDuration::from_hours(1),
            listen: "[::]:9402".parse().unwrap(),
            leader_election: None,
            log: LogSettings {
                format: LogFormat::Text,
                filter: "info,kube_runtime=warn".parse().unwrap()
            },
        }))
    );
}

const KINDS: &str = "argoproj.io/v1alpha1/Rollout:rollouts:.spec.template";

/// What the options for rollouts in [`run_takes_what_is_given`] say.
fn rollout_settings() -> RolloutSettings {
    RolloutSettings {
        defaults: Defaults {
            kinds: KINDS.parse().unwrap(),
            strategy: RolloutStrategy::Reload,
            max_concurrent: 3,
            min_gap: SignedDuration::from_secs(30),
            health_timeout: SignedDuration::from_mins(5),
            volume_delay: SignedDuration::from_secs(10),
        },
        max_concurrent: 7,
        probe_interval: None,
    }
}

#[test]
fn run_takes_what_is_given() {
    let arguments = [
        "run",
        "--pod-namespace=ops",
        "--namespaces=shop,pki",
        "--cluster-issuers",
        "--rollout-kinds=argoproj.io/v1alpha1/Rollout:rollouts",
        "--rollout-strategy=Reload",
        "--rollout-max-concurrent=7",
        "--rollout-max-concurrent-per-certificate=3",
        "--rollout-min-gap=30s",
        "--rollout-health-timeout=5m",
        "--rollout-volume-delay=10s",
        "--rollout-probe-interval=0s",
        "--https-proxy=http://me:hush@proxy:3128",
        "--no-proxy=.svc",
        "--extra-ca-file=/cas/ca.crt",
        "--private-networks=10.0.0.0/8,fd00::/8",
        "--served-check-targets=*.example.com:443,[fd00::/8]:*",
        "--resolvers=192.0.2.53,[2001:db8::53]:5353,2001:db8::1",
        "--http01-listen=127.0.0.1:0",
        "--http01-service=answers",
        "--cluster-resource-namespace=cas",
        "--concurrency=4",
        "--ca-overlap=1h30m",
        "--renew-throttle=0s",
        "--listen=127.0.0.1:0",
        "--leader-election",
        "--lease-duration=15s",
        "--pod-name=certwright-0",
        "--log-format=json",
        "--log=info,certwright=debug",
        "--api-group=certs.example.org",
        "--field-manager=other",
    ];
    assert_eq!(
        parsed(&arguments).unwrap(),
        Command::Run(Box::new(RunSettings {
            group: Group::new("certs.example.org", "other"),
            namespace: "ops".into(),
            scope: Scope::Namespaces(["pki".into(), "shop".into()].into()),
            cluster_issuers: true,
            rollout: Some(rollout_settings()),
            outside: OutsideSettings {
                https_proxy: Some("http://me:hush@proxy:3128".into()),
                no_proxy: Some(".svc".into()),
                extra_ca_file: Some("/cas/ca.crt".into()),
            },
            private_networks: vec!["10.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()],
            served_check_targets: AllowedTargets::new(vec![
                "*.example.com:443".parse().unwrap(),
                "[fd00::/8]:*".parse().unwrap(),
            ]),
            resolvers: vec![
                "192.0.2.53:53".parse().unwrap(),
                "[2001:db8::53]:5353".parse().unwrap(),
                "[2001:db8::1]:53".parse().unwrap(),
            ],
            http01: Some(Http01Settings {
                listen: "127.0.0.1:0".parse().unwrap(),
                service: "answers".into(),
            }),
            cluster_resource_namespace: "cas".into(),
            concurrency: 4,
            ca_overlap: SignedDuration::from_mins(90),
            renew_throttle: SignedDuration::ZERO,
            renewal_info_spread: SignedDuration::from_hours(1),
            listen: "127.0.0.1:0".parse().unwrap(),
            leader_election: Some(LeaderElection {
                identity: "certwright-0".into(),
                lease_duration: Duration::from_secs(15),
            }),
            log: LogSettings {
                format: LogFormat::Json,
                filter: "info,certwright=debug".parse().unwrap()
            },
        }))
    );
}

#[test]
fn rollouts_can_be_switched_off_and_make_sense() {
    let Command::Run(settings) = parsed(&["run", "--rollout=false"]).unwrap() else {
        unreachable!("it runs")
    };
    assert_eq!(settings.rollout, None);
    for option in [
        "--rollout-kinds=Rollout",
        "--rollout-kinds=apps/v1/Deployment",
        "--rollout-strategy=Call",
        "--rollout-strategy=Reboot",
        "--rollout-max-concurrent=0",
        "--rollout-max-concurrent-per-certificate=1001",
        "--rollout-min-gap=1d",
    ] {
        assert!(parsed(&["run", option]).is_err(), "{option}");
    }
}

#[test]
fn a_proxys_password_is_in_no_settings_that_are_shown() {
    let parsed = parsed(&["run", "--https-proxy=http://me:hush@proxy:3128"]).unwrap();
    assert!(!format!("{parsed:?}").contains("hush"));
}

#[test]
fn a_resolver_is_an_address() {
    for text in ["", "dns.example.com", "192.0.2.53:", "192.0.2.53:99999"] {
        let problem = parsed(&["run", &format!("--resolvers={text}")]).unwrap_err();
        assert!(problem.to_string().contains("is no resolver"), "{problem}");
    }
}

#[test]
fn http01_can_be_switched_off() {
    let Command::Run(settings) = parsed(&["run", "--http01=false"]).unwrap() else {
        panic!("not run")
    };
    assert_eq!(settings.http01, None);
}

#[test]
fn cluster_issuers_look_in_the_operators_own_namespace() {
    let namespaces = |arguments: &[&str], file: &str| {
        let arguments =
            Arguments::try_parse_from([&["certwright", "run"], arguments].concat()).unwrap();
        let Command::Run(settings) = arguments.into_command(Path::new(file)) else {
            panic!("not run")
        };
        (settings.namespace, settings.cluster_resource_namespace)
    };
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("namespace");
    std::fs::write(&file, "from-file\n").unwrap();
    let file = file.to_str().unwrap();

    let both = |name: &str| (name.to_owned(), name.to_owned());
    assert_eq!(
        namespaces(&["--pod-namespace=from-environment"], file),
        both("from-environment")
    );
    assert_eq!(namespaces(&[], file), both("from-file"));
    assert_eq!(namespaces(&["--pod-namespace="], file), both("from-file"));
    assert_eq!(
        namespaces(&["--cluster-resource-namespace=cas"], file),
        ("from-file".into(), "cas".into())
    );
}

#[test]
fn cluster_issuers_are_off_by_default_where_namespaces_are_given() {
    for (arguments, served) in [
        (&["run", "--namespaces="][..], true),
        (&["run", "--namespaces=shop"], false),
        (
            &["run", "--namespaces=shop", "--cluster-issuers=true"],
            true,
        ),
        (&["run", "--cluster-issuers=false"], false),
    ] {
        let Command::Run(settings) = parsed(arguments).unwrap() else {
            panic!("not run")
        };
        assert_eq!(settings.cluster_issuers, served, "{arguments:?}");
    }
}

#[test]
fn what_makes_no_sense_ends_with_2_and_says_why() {
    for (arguments, part) in [
        (&["run", "--ca-overlap=1d"][..], "days are not a unit"),
        (&["run", "--namespaces=Shop"], "not the name of a namespace"),
        (&["run", "--concurrency=0"], "0 is not in 1..=1024"),
        (&["run", "--listen=9402"], "invalid socket address"),
        (
            &["run", "--log=certwright=loud"],
            "error parsing level filter",
        ),
        (
            &["run", "--log-format=xml"],
            "[possible values: text, json]",
        ),
        (&["run", "--api-group=certwright"], "at least one dot"),
        (&["run", "--api-group=Certwright.dev"], "lower case"),
        (&["run", "--field-manager="], "1 to 120 printable"),
        (&["run", "--lease-duration=2s"], "from 3s to 60s"),
        (&["inspect"], "<FILE|secret/NAME|HOST:PORT>"),
        (&["inspect", "secret/"], "the Secret's name is missing"),
        (
            &["inspect", "secret/shop/web"],
            "give the namespace with -n",
        ),
        (&["stop"], "unrecognized subcommand"),
    ] {
        let error = parsed(arguments).unwrap_err();
        assert!(error.to_string().contains(part), "{arguments:?}: {error}");
        assert_eq!(error.exit_code(), 2, "{arguments:?}");
    }
    assert_eq!(parsed(&["run", "--help"]).unwrap_err().exit_code(), 0);
}

#[test]
fn a_proxys_password_is_not_among_settings_that_are_shown() {
    let arguments = ["inspect", "-", "--https-proxy=http://me:hush@proxy:3128"];
    let settings = parsed(&arguments).unwrap();
    assert!(!format!("{settings:?}").contains("hush"));
}

#[test]
fn inspect_tells_files_from_secrets_and_servers() {
    let server = |host: &str, port| Target::Server {
        host: host.to_owned(),
        port,
    };
    for (text, target) in [
        ("web.pem", Target::File("web.pem".into())),
        ("./secret/web", Target::File("./secret/web".into())),
        ("/etc/tls.crt", Target::File("/etc/tls.crt".into())),
        ("-", Target::StandardInput),
        ("secret/web-tls", Target::Secret("web-tls".into())),
        ("secrets/web-tls", Target::Secret("web-tls".into())),
        ("example.com:443", server("example.com", 443)),
        ("192.0.2.1:8443", server("192.0.2.1", 8443)),
        ("[2001:db8::1]:443", server("2001:db8::1", 443)),
        ("./a:1", Target::File("./a:1".into())),
        ("a:0", Target::File("a:0".into())),
        ("C:tls", Target::File("C:tls".into())),
    ] {
        assert_eq!(
            parsed(&["inspect", text]).unwrap(),
            Command::Inspect(InspectSettings {
                target,
                namespace: None,
                context: None,
                server_name: None,
                starttls: None,
                outside: OutsideSettings::default(),
            }),
            "{text}"
        );
    }
    assert_eq!(
        parsed(&["inspect", "secret/web", "-n", "shop", "--context", "prod"]).unwrap(),
        Command::Inspect(InspectSettings {
            target: Target::Secret("web".into()),
            namespace: Some("shop".into()),
            context: Some("prod".into()),
            server_name: None,
            starttls: None,
            outside: OutsideSettings::default(),
        })
    );
}

#[test]
fn the_other_commands_parse() {
    assert_eq!(parsed(&["version"]).unwrap(), Command::Version);
    assert_eq!(
        parsed(&["crds"]).unwrap(),
        Command::Crds(CrdsSettings {
            group: Group::default(),
            output: None
        })
    );
    assert_eq!(
        parsed(&["crds", "--output", "crds"]).unwrap(),
        Command::Crds(CrdsSettings {
            group: Group::default(),
            output: Some("crds".into())
        })
    );
}

#[test]
fn each_option_of_run_has_its_environment_variable() {
    let command = Arguments::command();
    let run = command.find_subcommand("run").unwrap();
    let mut shown = 0;
    for argument in run.get_arguments().filter(|argument| {
        !["help", "pod_name", "pod_namespace"].contains(&argument.get_id().as_str())
    }) {
        let name = argument
            .get_long()
            .unwrap()
            .to_uppercase()
            .replace('-', "_");
        let name = match name.as_str() {
            // What every program is told by the same names.
            "HTTPS_PROXY" | "NO_PROXY" => name,
            _ => format!("CERTWRIGHT_{name}"),
        };
        assert_eq!(argument.get_env().unwrap(), name.as_str());
        shown += usize::from(!argument.is_hide_set());
    }
    assert_eq!(shown, 29);
    Arguments::command().debug_assert();
}

#[test]
fn verify_takes_what_inspect_does_and_more() {
    let arguments = [
        "verify",
        "mail.example.com:25",
        "--starttls=smtp",
        "--name=mx.example.com",
        "--ca-file=ca.crt",
        "--min-days=14",
        "--revocation",
    ];
    assert_eq!(
        parsed(&arguments).unwrap(),
        Command::Verify(VerifySettings {
            what: InspectSettings {
                target: Target::Server {
                    host: "mail.example.com".into(),
                    port: 25
                },
                namespace: None,
                context: None,
                server_name: Some("mx.example.com".into()),
                starttls: Some(StartTls::Smtp),
                outside: OutsideSettings {
                    extra_ca_file: Some("ca.crt".into()),
                    ..OutsideSettings::default()
                },
            },
            min_days: 14,
            revocation: true,
        })
    );
    assert!(parsed(&["verify", "a:25", "--starttls=gopher"]).is_err());
}
