//! What a page of the list of users costs, wherever it stands and however many users there are.
//!
//! Fills both stores with a thousand users and with a million, walks through all pages, and checks
//! every answer against the names that were written. Prints the medians of interleaved tries, and
//! their ratios to the first page of the same store, and to the same page among a thousand users.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a benchmark that cannot go on fails"
)]
#![expect(clippy::print_stdout, reason = "it prints its result")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use auth_core::store::{PostgresStore, SqliteStore, UserFilter, UserSearch, UserStore};
use auth_core::testing::postgres::TemporaryDatabase;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection, PgConnection};

const FEW: i64 = 1_000;
const MANY: i64 = 1_000_000;
const TRIES: usize = 200;
const LIMIT: usize = 50;

/// The names and the addresses of so many users, each in the order of the list.
///
/// They are all different, and those who registered one after the other stand far apart.
struct Users {
    names: Vec<String>,
    emails: Vec<String>,
}

impl Users {
    fn new(count: i64) -> Self {
        let numbers = 0..count;
        let names = numbers.clone().map(|n| (n * 654_435 + 12_345) % 1_048_576);
        let names = names.map(|name| format!("{name:05x}-user"));
        let emails = numbers.map(|n| (n * 915_373 + 777) % 1_048_576);
        let emails = emails.map(|name| format!("{name:05x}@mail.example"));
        let [mut names, mut emails]: [Vec<_>; 2] = [names.collect(), emails.collect()];
        names.sort_unstable();
        emails.sort_unstable();
        Self { names, emails }
    }

    /// The keys that a page must have.
    fn page(&self, filter: &UserFilter) -> &[String] {
        let keys = match filter.search {
            UserSearch::Email(_) => &self.emails,
            _ => &self.names,
        };
        let prefix = filter.search.prefix();
        let after = filter.after.as_deref().unwrap_or_default();
        let first = keys.partition_point(|key| key.as_str() < prefix || key.as_str() <= after);
        let rest = &keys[first..];
        let found = rest.partition_point(|key| key.starts_with(prefix));
        &rest[..found.min(filter.limit as usize)]
    }

    /// The pages that are timed: a name for each, and its filter.
    fn pages(&self) -> Vec<(&'static str, UserFilter)> {
        let by_name = |prefix: &str| filter(UserSearch::Username(prefix.to_owned()));
        let by_email = |prefix: &str| filter(UserSearch::Email(prefix.to_owned()));
        let after = |mut filter: UserFilter, keys: &[String], percent: usize| {
            filter.after = Some(keys[(keys.len() - LIMIT - 1) * percent / 100].clone());
            filter
        };
        let hundred = |mut filter: UserFilter| {
            filter.limit = 100;
            filter
        };
        let middle = &self.names[self.names.len() / 2];
        let middle_email = &self.emails[self.emails.len() / 2];
        vec![
            ("first page", by_name("")),
            ("page at 1/4", after(by_name(""), &self.names, 25)),
            ("page at 1/2", after(by_name(""), &self.names, 50)),
            ("page at 3/4", after(by_name(""), &self.names, 75)),
            ("last page", after(by_name(""), &self.names, 100)),
            ("names in `8…`, first page", by_name("8")),
            ("names in `8…`, page at 3/5", {
                after(by_name("8"), &self.names, 53)
            }),
            ("one name", by_name(middle)),
            ("no such name", by_name("zz")),
            ("addresses, first page", by_email("")),
            ("addresses, last page", {
                after(by_email(""), &self.emails, 100)
            }),
            ("addresses in `8…`", by_email("8")),
            ("one address", by_email(middle_email)),
            ("first page of 100", hundred(by_name(""))),
            ("page of 100 at 1/2", {
                hundred(after(by_name(""), &self.names, 50))
            }),
        ]
    }
}

fn filter(search: UserSearch) -> UserFilter {
    let mut filter = UserFilter::default();
    filter.search = search;
    filter.limit = LIMIT as u32;
    filter
}

async fn fill_postgres(database: &TemporaryDatabase, count: i64) -> Arc<dyn UserStore> {
    let store = PostgresStore::connect(database.url()).unwrap();
    store.migrate().await.unwrap();
    let mut connection = PgConnection::connect(database.url()).await.unwrap();
    sqlx::query(
        "INSERT INTO auth_users
             (id, username, username_canonical, email, email_key, password_hash,
              is_active, is_superuser, created_at)
         SELECT id::uuid, name, name, email, email, repeat('x', 97), TRUE, FALSE, now()
         FROM (
             SELECT lpad(to_hex(1750000000000 + n), 12, '0') || '7' || lpad(to_hex(n % 4096), 3, '0')
                        || '8000' || lpad(to_hex(n), 12, '0') AS id,
                    lpad(to_hex((n * 654435 + 12345) % 1048576), 5, '0') || '-user' AS name,
                    lpad(to_hex((n * 915373 + 777) % 1048576), 5, '0') || '@mail.example' AS email
             FROM generate_series(0, $1 - 1) AS n
         ) AS made",
    )
    .bind(count)
    .execute(&mut connection)
    .await
    .unwrap();
    // As autovacuum does, sooner or later.
    sqlx::query("VACUUM (ANALYZE) auth_users")
        .execute(&mut connection)
        .await
        .unwrap();
    Arc::new(store)
}

async fn fill_sqlite(folder: &tempfile::TempDir, count: i64) -> Arc<dyn UserStore> {
    let path = folder.path().join(format!("{count}.sqlite3"));
    let store = SqliteStore::open(&path).await.unwrap();
    store.migrate().await.unwrap();
    let options = SqliteConnectOptions::new().filename(&path);
    let options = options.pragma("cache_size", "-400000");
    let mut connection = options.connect().await.unwrap();
    sqlx::query(
        "WITH RECURSIVE numbers (n) AS (
             SELECT 0
             UNION ALL
             SELECT n + 1 FROM numbers WHERE n < ?1 - 1
         ),
         made AS (
             SELECT unhex(printf('%012x7%03x8000%012x', 1750000000000 + n, n % 4096, n)) AS id,
                    printf('%05x-user', (n * 654435 + 12345) % 1048576) AS name,
                    printf('%05x@mail.example', (n * 915373 + 777) % 1048576) AS email
             FROM numbers
         )
         INSERT INTO auth_users
             (id, username, username_canonical, email, email_key, password_hash,
              is_active, is_superuser, created_at)
         SELECT id, name, name, email, email, printf('%097d', 0), TRUE, FALSE, 1750000000000000
         FROM made",
    )
    .bind(count)
    .execute(&mut connection)
    .await
    .unwrap();
    connection.close().await.unwrap();
    Arc::new(store)
}

async fn time(store: &dyn UserStore, users: &Users, filter: &UserFilter) -> Duration {
    let started = Instant::now();
    let page = store.list_users(filter).await.unwrap();
    let time = started.elapsed();
    let keys: Vec<_> = page.iter().map(|user| filter.search.key_of(user)).collect();
    assert_eq!(keys, users.page(filter), "{filter:?}");
    time
}

/// Reads the whole list, a page after the other; gives how many there were.
async fn walk(store: &dyn UserStore, users: &Users, search: UserSearch) -> usize {
    let keys = match search {
        UserSearch::Email(_) => &users.emails,
        _ => &users.names,
    };
    let mut filter = filter(search);
    let (mut pages, mut seen) = (0, 0);
    loop {
        let page = store.list_users(&filter).await.unwrap();
        let Some(last) = page.last() else {
            break;
        };
        for user in &page {
            assert_eq!(filter.search.key_of(user), keys[seen]);
            seen += 1;
        }
        pages += 1;
        filter = filter.following(last);
    }
    assert_eq!(
        seen,
        keys.len(),
        "nobody is left out, and nobody told twice"
    );
    pages
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

fn ratio(time: Duration, to: Duration) -> f64 {
    time.as_secs_f64() / to.as_secs_f64()
}

async fn measure(name: &str, few: &dyn UserStore, many: &dyn UserStore) {
    let [few_users, many_users] = [FEW, MANY].map(Users::new);
    for (search, order) in [
        (UserSearch::Username(String::new()), "names"),
        (UserSearch::Email(String::new()), "addresses"),
    ] {
        let started = Instant::now();
        let pages = walk(many, &many_users, search).await;
        let time = started.elapsed();
        println!("{name}: all {MANY} users in {pages} pages by {order}: {time:.1?}");
    }
    let (few_pages, many_pages) = (few_users.pages(), many_users.pages());
    let mut times = vec![(Vec::new(), Vec::new()); many_pages.len()];
    // Interleaved, so that a machine that changes its pace changes it for all of them.
    for _ in 0..TRIES {
        for (page, times) in times.iter_mut().enumerate() {
            times
                .0
                .push(time(few, &few_users, &few_pages[page].1).await);
            times
                .1
                .push(time(many, &many_users, &many_pages[page].1).await);
        }
    }
    println!("{name}: median of {TRIES} tries, of {FEW} and of {MANY} users:");
    let medians: Vec<_> = times
        .into_iter()
        .map(|(few, many)| (median(few), median(many)))
        .collect();
    for ((page, filter), (few, many)) in many_pages.iter().zip(&medians) {
        println!(
            "  {page:<28} {:>3} rows {few:>12.1?} {many:>12.1?}  {:.2} of a thousand, {:.2} of the first page",
            many_users.page(filter).len(),
            ratio(*many, *few),
            ratio(*many, medians[0].1),
        );
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let folder = tempfile::tempdir().unwrap();
    let few = fill_sqlite(&folder, FEW).await;
    let many = fill_sqlite(&folder, MANY).await;
    measure("SQLite", &*few, &*many).await;
    drop((few, many));

    let databases = [
        TemporaryDatabase::create().await,
        TemporaryDatabase::create().await,
    ];
    let few = fill_postgres(&databases[0], FEW).await;
    let many = fill_postgres(&databases[1], MANY).await;
    measure("PostgreSQL", &*few, &*many).await;
}
