//! What a check may refer to: values for `{{…}}` and conditions, and facts to compare lines with.

use super::{Check, Condition};
use crate::archive::lock::Lock;
use crate::error::{Error, Result};
use crate::recipe::address;
use crate::recipe::plan::{Content, Partition, Plan, Port, Repository, User};
use crate::recipe::template::render;
use crate::rootfs::boot::OWN_FILES;
use crate::verify::addresses::Addresses;
use crate::verify::firmware::Firmware;
use crate::verify::lab::{self, Lab};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::Path;

/// The facts that `lines` can name, each with what its lines are.
/// `{{fact.NAME}}` is the same lines in one line, separated by spaces.
pub const FACTS: [(&str, &str); 15] = [
    ("packages", "NAME VERSION ARCHITECTURE of every package in the lock"),
    ("opens", "PROTOCOL PORT of every socket that the plan opens, or lets somebody open"),
    ("opens-tcp", "the same, of TCP and those that the image itself listens on"),
    ("opens-tcp-to-all", "the same, of those that every network may reach"),
    ("plan-files", "path of every regular file that the plan or goldcast writes"),
    ("path-exclude", "pattern of paths that packages ship and the image does not take"),
    ("path-include", "pattern of what is taken all the same"),
    ("partitions", "MOUNT:BYTES:OPTIONS of every partition beside the root's"),
    ("mount-points", "mount point of each of these"),
    ("repositories", "NAME of every extra repository that the image has as a source"),
    ("units-enabled", "unit that the plan enables"),
    ("units-off", "unit that the plan disables or masks"),
    ("units-masked", "the same, of those that it masks"),
    ("users", "login name of every person in the plan"),
    ("users-to-change", "the same, of those whose first login asks for a new password"),
];

/// What is known of a plan before anything boots, by the first word of its path: for conditions. `{{…}}` knows more.
pub const VALUES: [&str; 14] = [
    "image",
    "distribution",
    "overlay",
    "package",
    "user",
    "partition",
    "repository",
    "guest",
    "ssh-from",
    "backed-up",
    "s3",
    "fail2ban-ignore",
    "build",
    "fact",
];

/// Values and facts of one plan, for one firmware.
#[derive(Debug, Clone)]
pub struct Context {
    values: Value,
    facts: BTreeMap<&'static str, Vec<String>>,
    user: Option<String>,
}

impl Context {
    /// The context of this plan and lock. `build_host` is the name of the machine that built the image, where
    /// it is a name that can be looked for.
    pub fn new(plan: &Plan, lock: &Lock, build_host: Option<&str>) -> Self {
        let user = somebody(plan).map(|user| user.name.clone());
        let repositories = || plan.repositories.iter().filter(|repository| repository.host().is_some());
        let packages: BTreeMap<&str, &str> =
            lock.packages.iter().map(|package| (package.name.as_str(), package.version.as_str())).collect();
        let addresses = Addresses::of(plan);
        let mut values = json!({
            "image": {
                "name": plan.name,
                "hostname": plan.image.hostname,
                "max-memory": plan.image.max_memory,
            },
            "distribution": {
                "name": plan.distribution.name,
                "release": plan.distribution.release,
                "architecture": plan.distribution.architecture,
            },
            "overlay": plan.overlays,
            "package": packages,
            "user": user.as_ref().map(|name| json!({ "name": name })),
            "partition": partitions(plan),
            "repository": repositories().next().map(repository),
            "guest": { "address": Ipv4Addr::LOCALHOST, "address6": addresses.guest6 },
            "ssh-from": {
                "listed": addresses.listed,
                "shuts-out": addresses.shuts_out(lab::OWNER.0.into()),
                "shuts-out6": addresses.shuts_out(lab::OWNER.1.into()),
            },
            "backed-up": backed_up(plan),
            "s3": s3(plan),
            "fail2ban-ignore": { "spared": addresses.spared },
            "build": { "hostname": build_host.unwrap_or_default() },
        });
        let enabled = plan.services.enable.keys().map(|unit| full_unit_name(unit));
        let off = plan.services.disable.keys().chain(plan.services.mask.keys());
        let files = plan.files.iter().filter(|(_, file)| matches!(file.content, Content::Regular(_)));
        let socket = |port: &Port| format!("{} {}", port.protocol, port.number);
        let opens = plan.opens.iter().map(socket).collect();
        let listens = plan.opens.iter().filter(|port| port.protocol == "tcp" && port.listens);
        let to_all = listens.clone().filter(|port| port.from.is_empty()).map(socket);
        let facts: BTreeMap<&'static str, Vec<String>> = BTreeMap::from([
            (
                "packages",
                lock.packages
                    .iter()
                    .map(|p| format!("{} {} {}", p.name, p.version, p.architecture))
                    .collect(),
            ),
            ("opens", opens),
            ("opens-tcp", listens.map(socket).collect()),
            ("opens-tcp-to-all", to_all.collect()),
            ("plan-files", files.map(|(path, _)| path.clone()).chain(OWN_FILES.map(str::to_owned)).collect()),
            ("path-exclude", plan.packages.path_exclude.keys().cloned().collect()),
            ("path-include", plan.packages.path_include.keys().cloned().collect()),
            (
                "partitions",
                plan.partitions
                    .iter()
                    .map(|p| format!("{}:{}:{}", p.mount, p.size, p.options.join(",")))
                    .collect(),
            ),
            ("mount-points", plan.partitions.iter().map(|partition| partition.mount.clone()).collect()),
            ("repositories", repositories().map(|repository| repository.name.clone()).collect()),
            ("units-enabled", enabled.collect()),
            ("units-off", off.map(|unit| full_unit_name(unit)).collect()),
            ("units-masked", plan.services.mask.keys().map(|unit| full_unit_name(unit)).collect()),
            ("users", plan.users.iter().map(|user| user.name.clone()).collect()),
            (
                "users-to-change",
                plan.users.iter().filter(|user| user.expire_password).map(|user| user.name.clone()).collect(),
            ),
        ]);
        let joined = facts.iter().map(|(name, lines)| ((*name).to_owned(), lines.join(" ").into()));
        values["fact"] = Value::Object(joined.collect());
        Self { values, facts, user }
    }

    /// The same for one firmware: `{{firmware}}` is its name.
    pub fn on(&self, firmware: Firmware) -> Self {
        let mut context = self.clone();
        context.values["firmware"] = firmware.name().into();
        context
    }

    /// The same for a run with this public key: `{{run.key}}`.
    pub fn with_key(&self, key: &str) -> Self {
        let mut context = self.clone();
        context.values["run"] = json!({ "key": key });
        context
    }

    /// The same for a machine in the lab: `{{lab.attacker}}`, `{{guest.address6}}`, `{{lab.archive-key}}`.
    pub fn in_lab(&self, lab: &Lab) -> Result<Self> {
        let mut context = self.clone();
        let addresses = lab.addresses();
        context.values["guest"] = json!({ "address": addresses.guest, "address6": addresses.guest6 });
        context.values["lab"] = lab.values()?;
        for (to, from) in [("ssh-from", addresses.listed), ("fail2ban-ignore", addresses.spared)] {
            let Some(from) = from else { continue };
            let family = if from.is_ipv6() { "address6" } else { "address" };
            context.values[to]["reaches"] = context.values["guest"][family].clone();
        }
        Ok(context)
    }

    /// The same with a stand-in for all that is known once this check is made on a machine of this firmware, if on one.
    pub fn foreseen(&self, check: &Check, firmware: Option<Firmware>) -> Self {
        let mut context = firmware.map_or_else(|| self.clone(), |firmware| self.on(firmware));
        if check.machine.is_some() {
            context = context.with_key("ssh-ed25519 AAAA");
        }
        if firmware.is_some() && check.needs.iter().any(|need| need == "lab") {
            context.values["lab"] = lab::foreseen();
            for to in ["ssh-from", "fail2ban-ignore"] {
                context.values[to]["reaches"] = Ipv4Addr::LOCALHOST.to_string().into();
            }
        }
        context.begin(&check.name);
        for name in check.steps.iter().filter_map(|step| step.keep.as_ref()) {
            context.keep(name, "kept");
        }
        context
    }

    /// An address of the lab's by name, for a machine that is in it.
    pub fn lab_address(&self, name: &str) -> Option<String> {
        self.values.get("lab")?.get(name)?.as_str().map(str::to_owned)
    }

    /// Keeps a text for later steps, as `{{kept.NAME}}`.
    pub fn keep(&mut self, name: &str, text: &str) {
        self.values["kept"][name] = text.into();
    }

    /// Before a check: drops what was kept, and in a lab gives the check its stranger, `{{lab.stranger}}` and
    /// `{{lab.stranger6}}`.
    pub fn begin(&mut self, check: &str) {
        self.values["kept"] = json!({});
        if let Some(lab) = self.values.get_mut("lab") {
            let (four, six) = lab::stranger(check);
            lab["stranger"] = four.to_string().into();
            lab["stranger6"] = six.to_string().into();
        }
    }

    /// The recipe's first user who can log in, over ssh where anybody can.
    pub fn user(&self) -> Option<&str> {
        self.user.as_deref()
    }

    /// A fact's lines.
    pub fn fact(&self, name: &str) -> Option<&[String]> {
        self.facts.get(name).map(Vec::as_slice)
    }

    /// Fills in `{{…}}`; a name that is not there is an error.
    pub fn fill(&self, template: &str) -> Result<String> {
        render(template, &self.values).map_err(|failure| {
            Error::usage(format!("`{}` cannot be filled in", template.trim())).because(failure.why)
        })
    }

    /// Whether a condition holds.
    pub fn holds(&self, condition: &Condition) -> bool {
        let found = condition.path.split('.').try_fold(&self.values, |value, name| value.get(name));
        let found = found.filter(|value| !value.is_null());
        condition.equals.as_ref().is_none_or(|wanted| found == Some(wanted))
            && condition.differs.as_ref().is_none_or(|unwanted| found != Some(unwanted))
            && condition.contains.as_ref().is_none_or(|wanted| {
                found.and_then(Value::as_array).is_some_and(|list| list.contains(wanted))
            })
            && condition.present.is_none_or(|wanted| found.is_some() == wanted)
    }
}

/// The partitions by mount point, for conditions: `partition./var/log`; nothing when there are none.
fn partitions(plan: &Plan) -> Value {
    let options = |partition: &Partition| -> serde_json::Map<String, Value> {
        partition.options.iter().map(|option| (option.clone(), true.into())).collect()
    };
    match plan.partitions[..] {
        [] => Value::Null,
        _ => plan
            .partitions
            .iter()
            .map(|p| (p.mount.clone(), options(p).into()))
            .collect::<serde_json::Map<_, _>>()
            .into(),
    }
}

/// The first extra repository of the image, `{{repository.host}}`; `package` is a name that is taken from it.
fn repository(of: &Repository) -> Value {
    json!({
        "name": of.name,
        "host": of.host(),
        "suite": of.suite,
        "component": of.components.first(),
        "package": of.packages.first().map(|pattern| pattern.replace('*', "0")),
    })
}

/// A directory of which the image makes backups, `{{backed-up.path}}`, and one in what it backs up that it leaves out,
/// `{{backed-up.left-out}}`, where there is one.
fn backed_up(plan: &Plan) -> Value {
    let paths = |option: &str| -> Vec<&str> {
        let list = plan.overlays.get("backup").and_then(|options| options.get(option)?.as_array());
        list.into_iter().flatten().filter_map(Value::as_str).collect()
    };
    let (include, exclude) = (paths("include"), paths("exclude"));
    let among = |path: &str, list: &[&str]| list.iter().any(|of| Path::new(path).starts_with(of));
    // Where data of an administrator's are, if that is included.
    let mut kept = std::iter::once("/srv").chain(include.iter().copied());
    let mut left_out = exclude.iter().filter(|path| among(path, &include));
    json!({
        "path": kept.find(|path| among(path, &include) && !among(path, &exclude)),
        "left-out": left_out.next(),
    })
}

/// Where the S3-compatible service for backups is, `{{s3.host}}` and `{{s3.port}}`; nothing when there is none.
fn s3(plan: &Plan) -> Value {
    let url = plan.overlays.get("backup").and_then(|options| options.get("s3")?.as_str());
    url.map(|url| json!({ "host": address::host(url), "port": address::port_of(url) })).into()
}

/// systemctl(1): a name without a suffix is a service.
fn full_unit_name(name: &str) -> String {
    if name.contains('.') { name.to_owned() } else { format!("{name}.service") }
}

/// Whom checks log in as.
fn somebody(plan: &Plan) -> Option<&User> {
    let groups = plan.overlays.get("ssh").and_then(|ssh| ssh.get("allow-groups")?.as_array());
    let over_ssh = |user: &User| {
        let named = |group: &Value| group.as_str().is_some_and(|group| user.groups.contains(group));
        groups.is_some_and(|groups| groups.iter().any(named))
    };
    let able = || plan.users.iter().filter(|user| user.has_shell());
    able().find(|user| over_ssh(user)).or_else(|| able().next())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verify::testing::{lock, plan};

    #[test]
    fn names_are_filled_in_and_an_unknown_one_is_an_error() {
        let context = Context::new(&plan(), &lock(), None).on(Firmware::Uefi);
        let filled = context.fill("ssh -p {{overlay.ssh.port}} {{user.name}} <{{firmware}}>").unwrap();
        assert_eq!(filled, "ssh -p 2222 admin <uefi>");
        let mut bounded = plan();
        assert!(!context.holds(&toml::from_str("path = 'image.max-memory'\npresent = true").unwrap()));
        bounded.image.max_memory = Some(64 << 20);
        assert_eq!(Context::new(&bounded, &lock(), None).fill("{{image.max-memory}}").unwrap(), "67108864");
        let error = context.fill("{{overlay.ssh.prot}}").unwrap_err();
        assert!(error.to_string().contains("prot"), "{error}");
        assert_eq!(error.exit(), crate::error::Exit::Usage);
    }

    #[test]
    fn checks_log_in_as_somebody_whom_ssh_lets_in() {
        let mut plan = plan();
        let ssh = BTreeMap::from([("allow-groups".to_owned(), json!(["sshusers"]))]);
        plan.overlays.insert("ssh".into(), ssh);
        plan.users[0].groups.insert("sshusers".into());
        let user = |plan: &Plan| Context::new(plan, &lock(), None).user().map(str::to_owned);
        let admin = plan.users[0].clone();
        assert_eq!(user(&plan).as_deref(), Some("admin"));
        let console = User { name: "console".into(), groups: ["sudo".to_owned()].into(), ..admin.clone() };
        plan.users.insert(0, console);
        assert_eq!(user(&plan).as_deref(), Some("admin"));
        plan.users[1].shell = "/usr/sbin/nologin".into();
        assert_eq!(user(&plan).as_deref(), Some("console"));
        plan.users[0].shell = "/bin/true".into();
        assert_eq!(user(&plan), None);
    }

    #[test]
    fn what_a_step_keeps_is_filled_in_until_it_is_dropped() {
        let mut context = Context::new(&plan(), &lock(), None);
        context.begin("a-check");
        context.keep("key", "a {{b}}");
        assert_eq!(context.fill("<{{kept.key}}>").unwrap(), "<a {{b}}>");
        context.begin("a-check");
        assert!(context.fill("{{kept.key}}").is_err());
    }

    #[test]
    fn conditions_look_at_values_and_at_their_absence() {
        let mut plan = plan();
        let ssh = plan.overlays.get_mut("ssh").unwrap();
        ssh.insert("allow-groups".into(), json!(["sshusers"]));
        let context = Context::new(&plan, &lock(), None);
        let condition = |text: &str| toml::from_str::<Condition>(text).unwrap();
        assert!(context.holds(&condition("path = 'overlay.ssh.port'\nequals = 2222")));
        assert!(!context.holds(&condition("path = 'overlay.ssh.port'\ndiffers = 2222")));
        assert!(context.holds(&condition("path = 'overlay.two-factor'\npresent = false")));
        assert!(context.holds(&condition("path = 'overlay.two-factor.x'\ndiffers = true")));
        assert!(!context.holds(&condition("path = 'overlay.two-factor.x'\nequals = true")));
        assert!(context.holds(&condition("path = 'overlay.ssh.allow-groups'\ncontains = 'sshusers'")));
        assert!(!context.holds(&condition("path = 'overlay.ssh.allow-groups'\ncontains = 'ssh'")));
        assert!(!context.holds(&condition("path = 'overlay.ssh.port'\ncontains = 2222")));
    }

    #[test]
    fn partitions_are_facts_and_conditions() {
        use crate::recipe::plan::{Origin, Partition};
        let mut plan = plan();
        let condition = |text: &str| toml::from_str::<Condition>(text).unwrap();
        let any = condition("path = 'partition'\npresent = true");
        assert!(!Context::new(&plan, &lock(), None).holds(&any));
        plan.partitions.push(Partition {
            mount: "/var/log".into(),
            size: 64 << 20,
            options: vec!["nodev".into(), "noexec".into()],
            origin: Origin::Overlay("x".into()),
        });
        let context = Context::new(&plan, &lock(), None);
        assert!(context.holds(&any));
        assert!(context.holds(&condition("path = 'partition./var/log.noexec'\npresent = true")));
        assert!(!context.holds(&condition("path = 'partition./var'\npresent = true")));
        assert_eq!(context.fill("{{fact.partitions}}").unwrap(), "/var/log:67108864:nodev,noexec");
    }

    #[test]
    fn a_directory_of_the_backups_is_known_and_one_that_they_leave_out() {
        let known = |include: &[&str], exclude: &[&str]| {
            let mut plan = plan();
            let options = json!({ "include": include, "exclude": exclude });
            plan.overlays.insert("backup".into(), options.as_object().unwrap().clone().into_iter().collect());
            let value = backed_up(&plan);
            ["path", "left-out"].map(|name| value[name].as_str().map(str::to_owned))
        };
        let some = |path: &str| Some(path.to_owned());
        assert_eq!(known(&["/etc", "/srv"], &["/var/cache"]), [some("/srv"), None]);
        assert_eq!(known(&["/"], &["/var/cache"]), [some("/srv"), some("/var/cache")]);
        assert_eq!(known(&["/etc", "/var"], &["/opt", "/var/cache"]), [some("/etc"), some("/var/cache")]);
        assert_eq!(known(&["/srv", "/srvx"], &["/srv"]), [some("/srvx"), some("/srv")]);
        assert_eq!(backed_up(&plan())["path"], Value::Null);
    }

    #[test]
    fn the_service_for_backups_is_where_its_address_says() {
        let known = |url: &str| {
            let mut plan = plan();
            plan.overlays.insert("backup".into(), [("s3".into(), url.into())].into());
            Context::new(&plan, &lock(), None).fill("{{s3.host}} {{s3.port}}").unwrap()
        };
        assert_eq!(known("https://s3.example.org/bucket"), "s3.example.org 443");
        assert_eq!(known("https://s3.example.org:9000/bucket/path:1"), "s3.example.org 9000");
        assert_eq!(known("https://192.0.2.9:9000/bucket"), "192.0.2.9 9000");
        assert_eq!(known("https://[2001:db8::9]/bucket"), "2001:db8::9 443");
        assert_eq!(known("https://[2001:db8::9]:9000/bucket"), "2001:db8::9 9000");
        assert_eq!(s3(&plan()), Value::Null);
    }

    #[test]
    fn every_value_is_known_to_conditions() {
        let context = Context::new(&plan(), &lock(), None);
        let known = context.values.as_object().unwrap();
        assert!(known.len() == VALUES.len() && VALUES.iter().all(|name| known.contains_key(*name)));
    }

    #[test]
    fn every_fact_that_is_listed_exists() {
        let context = Context::new(&plan(), &lock(), None);
        assert!(FACTS.iter().all(|(name, _)| context.fact(name).is_some()));
        assert_eq!(
            context.fact("packages").unwrap(),
            ["libc6 2.41-12 amd64", "openssh-server 1:10.0p1-7 amd64"]
        );
        assert_eq!(context.fact("opens").unwrap(), ["tcp 2222"]);
        assert_eq!(context.fill("{{fact.units-enabled}}").unwrap(), "ssh.service");
    }
}
