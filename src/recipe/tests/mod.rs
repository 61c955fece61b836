//! Tests of the stage as a whole.

use super::*;

#[test]
fn shipped() {
    let library = Library::built_in().unwrap();
    library.check().unwrap_or_else(|e| panic!("{}", e.render()));
    for name in ["recipes/debian-13-server.toml", "recipes/minimal.toml"] {
        let loaded = load(Path::new(name), &library).unwrap_or_else(|e| panic!("{}", e.render()));
        for f in &loaded.plan.files {
            println!("{} {:?}", f.0, f.1.origin);
            if let plan::Content::Regular(b) = &f.1.content {
                println!("{}", String::from_utf8_lossy(b));
            }
        }
        for w in &loaded.warnings {
            println!("{}", w.drawn);
        }
        println!("{}", serde_json::to_string_pretty(&loaded.plan.overlays).unwrap());
        println!("{:?} {:?} {:?}", loaded.plan.groups, loaded.plan.users, loaded.plan.sources);
    }
}
