//! The keys of an overlay's declaration, `overlays/NAME/overlay.toml`.

use super::form::Form;
use super::shape::{Choice, Field, Kind, Shape};

/// What an option may take.
pub const TYPES: &[&str] = &[
    "boolean",
    "integer",
    "port",
    "string",
    "text",
    "enum",
    "list",
    "size",
    "duration",
    "time",
    "address",
    "cidr",
    "host",
    "hostname",
    "socket",
    "email",
    "user",
    "group",
    "package",
    "unit",
    "path",
    "ssh-key",
    "password-hash",
    "grub-password-hash",
];

const WHEN: &str = "Only when this holds: `OPTION`, `!OPTION`, `overlay.NAME`, `!overlay.NAME`, or a template that \
                    gives anything but nothing, `false` or `0`.";

/// The shape of an overlay's declaration.
pub fn overlay() -> Shape {
    Shape::new(
        "key",
        vec![
            Field::new("summary", Kind::Text(Form::Line), "What it does, in one line.").required(),
            Field::new("description", Kind::Text(Form::Text), "What it does, why, and what it does not do."),
            Field::new(
                "requirements",
                Kind::list(Form::Line),
                "Rows of the requirements that it meets: `S4`.",
            ),
            Field::new("guidelines", Kind::list(Form::Line), "Guidelines that it follows."),
            Field::new(
                "needs",
                Kind::words(Form::Overlay),
                "Overlays that must be on; those that are not named are turned on with their defaults. Templates see \
                 this overlay's own options.",
            ),
            Field::new("conflicts", Kind::list(Form::Overlay), "Overlays that must be off."),
            Field::new(
                "packages",
                Kind::Table(Shape::new(
                    "key",
                    vec![
                        Field::new("install", Kind::words(Form::Package), "Packages that it needs."),
                        Field::new(
                            "deny",
                            Kind::words(Form::Package),
                            "Packages that may not be there with it.",
                        ),
                        Field::new(
                            "path-exclude",
                            Kind::words(Form::PathPattern),
                            "Files of any package that the image does not take, as patterns of dpkg(1).",
                        ),
                        Field::new(
                            "path-include",
                            Kind::words(Form::PathPattern),
                            "What is taken although `path-exclude` names it.",
                        ),
                    ],
                )),
                "Packages.",
            ),
            Field::new("option", Kind::Map { form: Form::Option, shape: option() }, "What a recipe may set."),
            Field::new("file", Kind::Tables { by: None, shape: file() }, "A file that it writes."),
            Field::new(
                "output",
                Kind::Tables { by: None, shape: output() },
                "A file that the build hands out beside the image, for another machine to use.",
            ),
            Field::new(
                "directory",
                Kind::Tables { by: None, shape: directory() },
                "A directory that it makes.",
            ),
            Field::new("link", Kind::Tables { by: None, shape: link() }, "A symbolic link that it makes."),
            Field::new(
                "group",
                Kind::Tables { by: None, shape: group() },
                "A group that it creates where it is not.",
            ),
            Field::new(
                "services",
                Kind::Table(Shape::new(
                    "key",
                    vec![
                        Field::new("enable", Kind::words(Form::Unit), "Units started at boot."),
                        Field::new("disable", Kind::words(Form::Unit), "Units not started at boot."),
                        Field::new("mask", Kind::words(Form::Unit), "Units that nothing can start."),
                    ],
                )),
                "Units.",
            ),
            Field::new(
                "opens",
                Kind::Table(Shape::new(
                    "key",
                    vec![
                        Field::new("tcp", Kind::words(Form::Port), "TCP ports."),
                        Field::new("udp", Kind::words(Form::Port), "UDP ports."),
                        Field::new(
                            "from",
                            Kind::words(Form::Cidr),
                            "Networks that may reach these; none: all.",
                        ),
                        Field::new(
                            "may",
                            Kind::words(Form::Socket),
                            "Sockets that something which is not in the image yet may open: `tcp/80`.",
                        ),
                    ],
                )),
                "Sockets that it opens to the outside. Templates of files see the ports of all overlays as \
                 `opens.tcp`, `opens.udp` and `opens.all`, the last with the networks they are open to.",
            ),
            Field::new("debconf", Kind::Tables { by: None, shape: debconf() }, "An answer for debconf."),
            Field::new(
                "command",
                Kind::Tables { by: None, shape: command() },
                "A command run in the finished tree.",
            ),
            Field::new(
                "kernel-arguments",
                Kind::words(Form::KernelArgument),
                "Words for the kernel's command line.",
            ),
            Field::new(
                "access",
                Kind::Tables { by: None, shape: access() },
                "A way in that it gives to people; the lockout lint counts these.",
            ),
            Field::new(
                "mount-options",
                Kind::Tables { by: None, shape: mount_options() },
                "Mount options that a partition of the recipe gets. Templates see the mount points of the recipe's \
                 partitions as `partitions`.",
            ),
            Field::new(
                "space",
                Kind::Tables { by: None, shape: space() },
                "Space that it takes or keeps free somewhere: a partition of the recipe that holds the place has as \
                 much, with what other overlays say of it.",
            ),
            Field::new(
                "ssh-keys",
                Kind::Tables { by: None, shape: later_keys() },
                "Users whose ssh keys come to the machine after it was built: they count as having some.",
            ),
            Field::new(
                "lint",
                Kind::Tables { by: None, shape: lint() },
                "Values that do not go together, told to the recipe's author.",
            ),
        ],
    )
}

fn option() -> Shape {
    Shape::new(
        "key",
        vec![
            Field::new("type", Kind::Choice(Choice::of("type", TYPES)), "What it takes.").required(),
            Field::new(
                "of",
                Kind::Choice(Choice::of("type", TYPES)),
                "What a list holds; `string` when not said.",
            ),
            Field::new("values", Kind::list(Form::Line), "The words of an enum."),
            Field::new(
                "default",
                Kind::Anything,
                "Its value when the recipe sets none; without one it is null.",
            ),
            Field::new("min", Kind::Anything, "Least: a number, or a size or length of time in quotes."),
            Field::new("max", Kind::Anything, "Most."),
            Field::new("starts-with", Kind::Text(Form::Line), "How a string must begin."),
            Field::new("required", Kind::Boolean, "The recipe must set it."),
            Field::new("doc", Kind::Text(Form::Text), "What it does.").required(),
            Field::new("guideline", Kind::Text(Form::Line), "The guideline that its default follows."),
            Field::new(
                "well-known-guard",
                Kind::Text(Form::Option),
                "For a port: the boolean option that allows the port of another well-known service.",
            ),
        ],
    )
}

fn owned(mut fields: Vec<Field>, mode: &'static str) -> Shape {
    fields.extend([
        Field::new("mode", Kind::Text(Form::Mode), "Permission bits.").default(mode),
        Field::new("owner", Kind::Template { form: Form::User, words: false }, "Owner's name.")
            .default("root"),
        Field::new("group", Kind::Template { form: Form::Group, words: false }, "Group's name.")
            .default("root"),
        when(),
    ]);
    Shape::new("key", fields)
}

fn when() -> Field {
    Field::new("when", Kind::Text(Form::Line), WHEN)
}

fn path() -> Field {
    Field::new("path", Kind::Template { form: Form::ImagePath, words: false }, "Absolute path in the image.")
        .required()
}

fn file() -> Shape {
    let fields = vec![
        path(),
        Field::new("source", Kind::Text(Form::InnerPath), "A file of the overlay's folder, copied as it is."),
        Field::new("template", Kind::Text(Form::InnerPath), "A template of the overlay's folder."),
        Field::new(
            "content",
            Kind::Template { form: Form::Template, words: false },
            "The text itself, a template.",
        ),
    ];
    owned(fields, "0644")
}

fn output() -> Shape {
    Shape::new(
        "key",
        vec![
            Field::new("name", Kind::Text(Form::ImageName), "What follows the image's name and a dot.")
                .required(),
            Field::new("template", Kind::Text(Form::InnerPath), "A template of the overlay's folder.")
                .required(),
            when(),
        ],
    )
}

fn directory() -> Shape {
    owned(vec![path()], "0755")
}

fn link() -> Shape {
    let target = Kind::Template { form: Form::Line, words: false };
    Shape::new("key", vec![path(), Field::new("target", target, "Where it points.").required(), when()])
}

fn group() -> Shape {
    Shape::new(
        "key",
        vec![
            Field::new("name", Kind::Template { form: Form::Group, words: true }, "One name or several.")
                .required(),
            Field::new("system", Kind::Boolean, "A number below 1000.").default(true),
            Field::new(
                "members",
                Kind::Choice(Choice::of("kind of member", &["none", "ssh-keys", "all"])),
                "The recipe's users that join it: those with ssh keys, or all.",
            )
            .default("none"),
            when(),
        ],
    )
}

fn debconf() -> Shape {
    let kinds = ["string", "boolean", "select", "multiselect", "note", "text", "password"];
    Shape::new(
        "key",
        vec![
            Field::new("package", Kind::Text(Form::Package), "The package that asks.").required(),
            Field::new("question", Kind::Text(Form::Line), "The question's name.").required(),
            Field::new("kind", Kind::Choice(Choice::of("kind of question", &kinds)), "The question's type.")
                .required(),
            Field::new("value", Kind::Template { form: Form::Line, words: false }, "The answer.").required(),
            when(),
        ],
    )
}

fn command() -> Shape {
    let argv = Kind::List(Box::new(Kind::Template { form: Form::Line, words: false }));
    Shape::new(
        "key",
        vec![Field::new("argv", argv, "Program and arguments, each a template.").required(), when()],
    )
}

fn lint() -> Shape {
    let line = Kind::Template { form: Form::Line, words: false };
    Shape::new(
        "key",
        vec![
            when().required(),
            Field::new("message", line.clone(), "What is wrong, one line.").required(),
            Field::new("help", line, "What to do about it."),
            Field::new(
                "severity",
                Kind::Choice(Choice::of("severity", &["error", "warning"])),
                "Whether to go on.",
            )
            .default("error"),
        ],
    )
}

fn later_keys() -> Shape {
    Shape::new(
        "key",
        vec![Field::new("users", Kind::words(Form::User), "Names of the recipe's users.").required(), when()],
    )
}

fn mount_options() -> Shape {
    Shape::new(
        "key",
        vec![
            Field::new("mount", Kind::Text(Form::MountPoint), "Where the partition is mounted.").required(),
            Field::new("options", Kind::words(Form::MountOption), "Options that it has in any case.")
                .required(),
            when(),
        ],
    )
}

fn space() -> Shape {
    let times = Kind::Template { form: Form::Line, words: false };
    Shape::new(
        "key",
        vec![
            Field::new("path", Kind::Text(Form::ImagePath), "The place.").required(),
            Field::new("size", Kind::Template { form: Form::Size, words: false }, "How much.").required(),
            Field::new("times", times, "How many times that.").default("1"),
            when(),
        ],
    )
}

fn access() -> Shape {
    Shape::new(
        "key",
        vec![
            Field::new(
                "to",
                Kind::Choice(Choice::of("access", &["login", "root"])),
                "What it gives: a login from outside, or root to those who are logged in.",
            )
            .required(),
            Field::new(
                "by",
                Kind::Choice(Choice::of("proof", &["ssh-key", "password", "nothing"])),
                "What the user must have for it.",
            )
            .required(),
            Field::new(
                "groups",
                Kind::words(Form::Group),
                "The user must be in one of these; none: anybody.",
            ),
            Field::new("users", Kind::words(Form::User), "The user must be one of these; none: anybody."),
            Field::new("key-types", Kind::words(Form::Line), "Types of ssh keys that are taken; none: any."),
            when(),
        ],
    )
}
