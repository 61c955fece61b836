use super::*;
use crate::progress::Mode;
use crate::store::server::{Reply, Server};

struct Bench {
    _dir: tempfile::TempDir,
    store: Store,
    server: Server,
}

fn bench() -> Bench {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path().join("cache")).unwrap();
    Bench { _dir: dir, store, server: Server::start() }
}

fn body() -> Vec<u8> {
    (0..300_000u32).flat_map(|number| number.to_le_bytes()).collect()
}

fn want(bytes: &[u8], urls: &[String]) -> Want {
    let sha256 = hex::encode(Sha256::digest(bytes));
    Want { what: "vim-tiny 9.1 amd64".into(), sha256, size: bytes.len() as u64, urls: urls.to_vec() }
}

impl Bench {
    fn fetch(&self, wants: &[Want]) -> Result<FetchSummary> {
        self.store.fetch(wants, &FetchOptions::default(), &Progress::new(Mode::Silent))
    }

    fn partials(&self) -> u64 {
        self.store.size_of("partial").unwrap().files
    }
}

#[test]
fn many_files_come_once() {
    let bench = bench();
    let wants: Vec<Want> = (0..40u32)
        .map(|number| {
            let bytes = number.to_be_bytes().repeat(1000);
            want(&bytes, &[bench.server.put(&format!("/{number}"), Reply::Good(bytes.clone()))])
        })
        .collect();
    let doubled: Vec<Want> = wants.iter().chain(&wants).cloned().collect();
    assert_eq!(bench.fetch(&doubled).unwrap(), FetchSummary { downloaded: 40, bytes: 160_000, present: 0 });
    assert_eq!(bench.fetch(&wants).unwrap(), FetchSummary { downloaded: 0, bytes: 0, present: 40 });
    assert_eq!(bench.server.log().len(), 40);
    for want in &wants {
        bench.store.verify(&want.sha256).unwrap();
    }
    assert_eq!(bench.partials(), 0);
}

#[test]
fn a_server_in_trouble_is_asked_again() {
    let bench = bench();
    let url = bench.server.put("/x", Reply::Failing(503, 3, body()));
    bench.fetch(&[want(&body(), &[url])]).unwrap();
    assert_eq!(bench.server.log().len(), 4);
}

#[test]
fn what_is_not_there_is_not_asked_for_again_and_the_next_address_is_used() {
    let bench = bench();
    let good = bench.server.put("/old/x", Reply::Good(body()));
    bench.fetch(&[want(&body(), &[bench.server.url("/x"), good])]).unwrap();
    assert_eq!(bench.server.log(), ["/x", "/old/x"]);
}

#[test]
fn a_broken_download_goes_on_where_it_broke() {
    let bench = bench();
    let url = bench.server.put("/x", Reply::Truncated(body(), 400_000));
    bench.fetch(&[want(&body(), &[url])]).unwrap();
    assert_eq!(bench.server.log(), ["/x", "/x from 400000", "/x from 800000"]);
}

#[test]
fn a_download_that_always_breaks_is_an_error_and_the_next_run_resumes() {
    let bench = bench();
    let url = bench.server.put("/x", Reply::Truncated(body(), 1000));
    let error = bench.fetch(&[want(&body(), std::slice::from_ref(&url))]).unwrap_err();
    assert_eq!(error.what(), "cannot download vim-tiny 9.1 amd64");
    assert!(error.causes()[0].contains("broke off after 5000 of 1200000 bytes"), "{error}");
    assert_eq!(bench.partials(), 1);
    bench.server.put("/x", Reply::Good(body()));
    bench.fetch(&[want(&body(), &[url])]).unwrap();
    assert_eq!(bench.server.log().last().unwrap(), "/x from 5000");
}

#[test]
fn a_partial_file_is_hashed_again_and_a_bad_one_is_dropped() {
    let bench = bench();
    let url = bench.server.put("/x", Reply::Good(body()));
    let want = want(&body(), &[url]);
    for junk in [vec![0; 5000], vec![0; 1_200_000], vec![0; 2_000_000]] {
        fs::write(bench.store.partial(&want.sha256), junk).unwrap();
        bench.fetch(std::slice::from_ref(&want)).unwrap();
        bench.store.verify(&want.sha256).unwrap();
        bench.store.clear().unwrap();
    }
}

#[test]
fn a_server_without_ranges_starts_over() {
    let bench = bench();
    let url = bench.server.put("/x", Reply::NoRanges(body()));
    let want = want(&body(), &[url]);
    fs::write(bench.store.partial(&want.sha256), &body()[..5000]).unwrap();
    bench.fetch(std::slice::from_ref(&want)).unwrap();
    bench.store.verify(&want.sha256).unwrap();
}

#[test]
fn wrong_bytes_are_refused_with_both_hashes() {
    let bench = bench();
    let mut bad = body();
    bad[77] ^= 1;
    let found = hex::encode(Sha256::digest(&bad));
    let url = bench.server.put("/x", Reply::Good(bad));
    let want = want(&body(), &[url]);
    let error = bench.fetch(std::slice::from_ref(&want)).unwrap_err().to_string();
    assert!(error.contains("vim-tiny") && error.contains(&found) && error.contains(&want.sha256), "{error}");
    assert_eq!(bench.store.path(&want.sha256), None);
    assert_eq!(bench.partials(), 0);
}

#[test]
fn wrong_sizes_are_refused() {
    let bench = bench();
    for size in [10, 2_000_000] {
        let url = bench.server.put("/x", Reply::Good(vec![7; size]));
        let error = bench.fetch(&[want(&body(), &[url])]).unwrap_err().to_string();
        assert!(error.contains(&format!("{size} bytes, not 1200000")), "{error}");
    }
}

#[test]
fn an_empty_file_is_a_file() {
    let bench = bench();
    let url = bench.server.put("/x", Reply::Good(Vec::new()));
    let want = want(&[], &[url]);
    bench.fetch(std::slice::from_ref(&want)).unwrap();
    assert_eq!(bench.store.get_bytes(&want.sha256).unwrap(), b"");
}

#[test]
fn offline_names_what_is_missing() {
    let bench = bench();
    let url = bench.server.put("/x", Reply::Good(body()));
    let options = FetchOptions { offline: true, ..FetchOptions::default() };
    let progress = Progress::new(Mode::Silent);
    let want = want(&body(), &[url]);
    let error = bench.store.fetch(std::slice::from_ref(&want), &options, &progress).unwrap_err();
    assert!(error.what().contains("vim-tiny 9.1 amd64"), "{error}");
    assert!(error.advice().unwrap().contains("--offline"));
    assert!(bench.server.log().is_empty());
    bench.fetch(std::slice::from_ref(&want)).unwrap();
    assert_eq!(bench.store.fetch(&[want], &options, &progress).unwrap().present, 1);
}

#[test]
fn two_stores_on_one_directory_download_once() {
    let bench = bench();
    let url = bench.server.put("/x", Reply::Slow(body(), Duration::from_millis(20)));
    let want = want(&body(), &[url]);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let store = Store::open(bench.store.dir().to_path_buf()).unwrap();
                let progress = Progress::new(Mode::Silent);
                store.fetch(std::slice::from_ref(&want), &FetchOptions::default(), &progress).unwrap();
                store.verify(&want.sha256).unwrap();
            });
        }
    });
    assert_eq!(bench.server.log(), ["/x"]);
    assert_eq!(bench.partials(), 0);
}

#[test]
fn a_blob_cut_short_is_fetched_again() {
    let bench = bench();
    let url = bench.server.put("/x", Reply::Good(body()));
    let want = want(&body(), &[url]);
    bench.fetch(std::slice::from_ref(&want)).unwrap();
    let path = bench.store.path(&want.sha256).unwrap();
    fs::remove_file(&path).unwrap();
    fs::write(&path, b"").unwrap();
    assert_eq!(bench.fetch(std::slice::from_ref(&want)).unwrap().downloaded, 1);
    bench.store.verify(&want.sha256).unwrap();
}

#[test]
fn files_are_addresses_too() {
    let bench = bench();
    let path = bench.store.dir().join("x.deb");
    fs::write(&path, body()).unwrap();
    for url in [format!("file://{}", path.display()), path.display().to_string()] {
        let want = want(&body(), &["/does/not/exist".into(), url]);
        assert_eq!(bench.fetch(&[want]).unwrap().downloaded, 1);
        bench.store.clear().unwrap();
    }
}

#[test]
fn small_files_are_read_whole_or_refused() {
    let bench = bench();
    let url = bench.server.put("/InRelease", Reply::Failing(500, 1, b"text".to_vec()));
    assert_eq!(bench.store.fetch_bytes("the index", &[bench.server.url("/no"), url], 4).unwrap(), b"text");
    let url = bench.server.put("/big", Reply::Good(vec![0; 5]));
    assert!(bench.store.fetch_bytes("the index", &[url], 4).unwrap_err().what().contains("larger than"));
    let url = bench.server.put("/cut", Reply::Truncated(vec![0; 50], 5));
    let error = bench.store.fetch_bytes("the index", &[url], 100).unwrap_err();
    assert!(error.causes()[0].contains("tried 5 times"), "{error}");
    assert!(bench.store.fetch_bytes("the index", &["ftp://x".into()], 4).is_err());
}
