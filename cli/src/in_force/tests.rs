//! A folder whose files change, looked at by hand.

use super::*;

const SOURCE: &str = "apiVersion: plimsoll/v1\nkind: Source\nmetadata: {id: plain}\nspec: {topics: [events]}\n";

fn service(id: &str) -> String {
    format!("apiVersion: plimsoll/v1\nkind: Service\nmetadata: {{id: {id}}}\n")
}

struct World(tempfile::TempDir, InForce);

impl World {
    fn new() -> World {
        let folder = tempfile::tempdir().expect("a folder");
        for (name, text) in [("sources.yaml", SOURCE.to_owned()), ("services.yaml", service("web"))] {
            std::fs::write(folder.path().join(name), text).expect("a file");
        }
        let in_force = InForce::of_folder(folder.path()).expect("sound definitions");
        World(folder, in_force)
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.0.path().join(name), text).expect("a file");
    }

    /// The number and the services in force after some looks, and how many problems the folder has.
    fn after_looks(&self, looks: usize) -> (u64, Vec<String>, usize) {
        (0..looks).for_each(|_| self.1.look());
        let (number, definitions) = self.1.now();
        (number, definitions.services.keys().map(ToString::to_string).collect(), self.1.standing().1.len())
    }
}

fn found(number: u64, services: &[&str], problems: usize) -> (u64, Vec<String>, usize) {
    (number, services.iter().map(ToString::to_string).collect(), problems)
}

#[test]
fn r24_what_two_looks_have_found_is_in_force() {
    let world = World::new();
    assert_eq!(world.after_looks(3), found(0, &["web"], 0), "nothing has changed");
    world.write("services.yaml", &service("shop"));
    assert_eq!(world.after_looks(1), found(0, &["web"], 0), "somebody may still be writing");
    world.write("more.yaml", &service("desk"));
    assert_eq!(world.after_looks(1), found(0, &["web"], 0), "somebody was");
    assert_eq!(world.after_looks(1), found(1, &["desk", "shop"], 0));
    assert_eq!(world.after_looks(2), found(1, &["desk", "shop"], 0), "nothing has changed since");
}

#[test]
fn r24_a_folder_with_problems_is_refused_whole_until_they_are_mended() {
    let world = World::new();
    world.write("more.yaml", &service("desk"));
    world.write("wrong.yaml", "kind: Service\n");
    let (number, services, problems) = world.after_looks(2);
    assert_eq!((number, services.as_slice()), (0, ["web".to_owned()].as_slice()));
    assert!(problems > 0);
    std::fs::remove_file(world.0.path().join("wrong.yaml")).expect("a file");
    assert_eq!(world.after_looks(2), found(1, &["desk", "web"], 0));
    // Without a topic nothing can be read; with what is in force again, nothing has changed.
    std::fs::remove_file(world.0.path().join("sources.yaml")).expect("a file");
    assert_eq!(world.after_looks(2), found(1, &["desk", "web"], 1));
    world.write("sources.yaml", SOURCE);
    assert_eq!(world.after_looks(2), found(1, &["desk", "web"], 0));
}

#[test]
fn r24_a_folder_that_is_gone_changes_nothing() {
    let world = World::new();
    let (here, there) = (world.0.path().to_owned(), world.0.path().with_extension("gone"));
    std::fs::rename(&here, &there).expect("a folder");
    let gone = world.after_looks(3);
    std::fs::rename(&there, &here).expect("a folder");
    assert_eq!(gone, found(0, &["web"], 1));
    assert_eq!(world.after_looks(2), found(0, &["web"], 0));
}

#[test]
fn r24_a_file_that_is_put_is_in_the_folder_and_in_force_or_neither() {
    let world = World::new();
    let text = |name: &str| std::fs::read_to_string(world.0.path().join(name)).ok();
    let desk = service("desk");
    assert!(matches!(world.1.put("desk.yaml", Some(&desk)), Ok(Put::Taken(true))));
    assert_eq!(world.after_looks(0), found(1, &["desk", "web"], 0));
    assert_eq!(text("desk.yaml"), Some(desk.clone()));
    assert!(matches!(world.1.put("desk.yaml", Some(&desk)), Ok(Put::Taken(false))), "it was there");
    // The same service twice.
    match world.1.put("again.yaml", Some(&desk)) {
        Ok(Put::Refused(problems)) => assert!(problems[0].to_string().contains("again.yaml:3"), "{}", problems[0]),
        other => panic!("{other:?}"),
    }
    assert_eq!((world.after_looks(2), text("again.yaml")), (found(1, &["desk", "web"], 0), None));
    assert!(matches!(world.1.put("desk.yaml", None), Ok(Put::Taken(true))));
    assert_eq!((world.after_looks(2), text("desk.yaml")), (found(2, &["web"], 0), None));
}
