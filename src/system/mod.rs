//! What systems do differently: signals, private files, marks of files in use, syncs and names.
//!
//! `unix` and `windows` have the same functions. No other module asks which system it runs on
//! (`tests/it/architecture.rs`).

#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

#[cfg(unix)]
pub(crate) use unix::*;
#[cfg(windows)]
pub(crate) use windows::*;

#[cfg(test)]
mod tests {
    use fs_err as fs;

    use super::*;

    #[test]
    fn a_rename_that_replaces_nothing_replaces_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let [first, second, taken] = ["first", "second", "taken"].map(|name| folder.path().join(name));
        fs::write(&first, "first").unwrap();
        fs::write(&second, "second").unwrap();
        rename_new(&first, &taken).unwrap();
        assert!(rename_new(&second, &taken).is_err());
        assert_eq!(fs::read_to_string(&taken).unwrap(), "first");
        assert_eq!(fs::read_to_string(&second).unwrap(), "second");
        assert!(!first.exists());
    }

    #[test]
    fn a_file_in_use_stays_and_a_leftover_goes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        let file = fs::OpenOptions::new().read(true).write(true).create_new(true).open(&path).unwrap();
        assert!(mark_in_use(&file));
        remove_unless_in_use(&path).unwrap();
        assert!(path.exists());
        drop(file);
        remove_unless_in_use(&path).unwrap();
        assert!(!path.exists());
    }

    #[test]
    fn an_open_file_is_at_its_name_and_not_at_that_of_an_equal_one() {
        let folder = tempfile::tempdir().unwrap();
        let [name, other, missing] = ["name", "other", "missing"].map(|name| folder.path().join(name));
        fs::write(&name, "same").unwrap();
        fs::write(&other, "same").unwrap();
        let file = fs::File::open(&name).unwrap();
        assert!(is_at(&file, &name) && !is_at(&file, &other) && !is_at(&file, &missing));
    }

    #[test]
    fn files_and_folders_that_exist_can_be_synced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        fs::write(&path, "x").unwrap();
        sync_file(&fs::File::open(&path).unwrap(), &path).unwrap();
        sync_folder(folder.path()).unwrap();
    }
}
