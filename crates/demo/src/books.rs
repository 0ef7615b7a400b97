//! The participants' own databases, from outside: what they begin with, and what stands in them.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::Context;
use sqlx::ConnectOptions as _;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};

use crate::participants::{Kind, inventory, orders, payment};
use crate::plan::Plan;

/// The folder with the three databases.
#[derive(Clone, Debug)]
pub struct Books {
    dir: PathBuf,
}

/// Everything that stands in the three databases.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ledger {
    /// Units on the shelf, by sku.
    pub stock: BTreeMap<String, i64>,
    /// Balance and held amount in cents, by user.
    pub accounts: BTreeMap<String, (i64, i64)>,
    /// Every reservation ever made.
    pub reservations: Vec<Reservation>,
    /// Every hold ever made.
    pub holds: Vec<Hold>,
    /// Every order that stands.
    pub orders: Vec<Order>,
    /// Of how many lock keys a participant has seen fencing tokens, by participant.
    pub fenced_keys: BTreeMap<String, i64>,
}

/// A reservation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reservation {
    /// Whose.
    pub saga: String,
    /// Of what.
    pub sku: String,
    /// How many.
    pub qty: i64,
    /// `reserved` or `released`.
    pub state: String,
}

/// A hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hold {
    /// Whose.
    pub saga: String,
    /// On which account.
    pub user: String,
    /// How much, in cents.
    pub amount: i64,
    /// `open`, `captured` or `voided`.
    pub state: String,
}

/// An order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// Whose.
    pub saga: String,
    /// Who ordered.
    pub user: String,
    /// What.
    pub sku: String,
}

impl Books {
    /// Makes the databases of `plan` in `dir`, with what is on shelves and accounts.
    ///
    /// # Errors
    ///
    /// The folder can't be made or written.
    pub async fn open(dir: PathBuf, plan: &Plan) -> anyhow::Result<Self> {
        std::fs::create_dir_all(&dir).with_context(|| format!("making {}", dir.display()))?;
        let books = Self { dir };
        let stock = inventory::open(&books.path(Kind::Inventory)).await?;
        let shelf = "INSERT INTO stock (sku, on_shelf) SELECT key, value FROM json_each(?)";
        sqlx::query(shelf).bind(serde_json::to_string(&plan.stock)?).execute(&stock).await?;
        let bank = payment::open(&books.path(Kind::Payment)).await?;
        let accounts =
            "INSERT INTO account (user, balance, held) SELECT key, value, 0 FROM json_each(?)";
        sqlx::query(accounts).bind(serde_json::to_string(&plan.accounts)?).execute(&bank).await?;
        let orders = orders::open(&books.path(Kind::Orders)).await?;
        tokio::join!(stock.close(), bank.close(), orders.close());
        Ok(books)
    }

    /// The database of one participant.
    pub fn path(&self, kind: Kind) -> PathBuf {
        self.dir.join(format!("{}.db", kind.name()))
    }

    /// The file of one participant's troubles.
    pub fn troubles_path(&self, kind: Kind) -> PathBuf {
        self.dir.join(format!("{}-troubles.json", kind.name()))
    }

    /// Reads everything, without writing anything; the participants may be running.
    ///
    /// # Errors
    ///
    /// A database can't be read.
    pub async fn read(&self) -> anyhow::Result<Ledger> {
        let mut stock = self.look_into(Kind::Inventory).await?;
        let mut bank = self.look_into(Kind::Payment).await?;
        let mut orders = self.look_into(Kind::Orders).await?;
        let shelf: Vec<(String, i64)> =
            sqlx::query_as("SELECT sku, on_shelf FROM stock").fetch_all(&mut stock).await?;
        let accounts: Vec<(String, i64, i64)> =
            sqlx::query_as("SELECT user, balance, held FROM account").fetch_all(&mut bank).await?;
        let mut fenced_keys = BTreeMap::new();
        for (kind, books) in
            [(Kind::Inventory, &mut stock), (Kind::Payment, &mut bank), (Kind::Orders, &mut orders)]
        {
            let keys =
                sqlx::query_scalar("SELECT count(*) FROM amends_fence").fetch_one(books).await?;
            fenced_keys.insert(kind.name().to_owned(), keys);
        }
        Ok(Ledger {
            fenced_keys,
            stock: shelf.into_iter().collect(),
            accounts: accounts.into_iter().map(|(user, free, held)| (user, (free, held))).collect(),
            reservations: reservations(&mut stock).await?,
            holds: holds(&mut bank).await?,
            orders: all_orders(&mut orders).await?,
        })
    }

    async fn look_into(&self, kind: Kind) -> anyhow::Result<SqliteConnection> {
        let path = self.path(kind);
        let options = SqliteConnectOptions::new().filename(&path).read_only(true);
        options.connect().await.with_context(|| format!("reading {}", path.display()))
    }
}

async fn reservations(stock: &mut SqliteConnection) -> sqlx::Result<Vec<Reservation>> {
    let rows: Vec<(String, String, i64, String)> =
        sqlx::query_as("SELECT saga, sku, qty, state FROM reservation").fetch_all(stock).await?;
    Ok(rows
        .into_iter()
        .map(|(saga, sku, qty, state)| Reservation { saga, sku, qty, state })
        .collect())
}

async fn holds(bank: &mut SqliteConnection) -> sqlx::Result<Vec<Hold>> {
    let rows: Vec<(String, String, i64, String)> =
        sqlx::query_as("SELECT saga, user, amount, state FROM hold").fetch_all(bank).await?;
    Ok(rows
        .into_iter()
        .map(|(saga, user, amount, state)| Hold { saga, user, amount, state })
        .collect())
}

async fn all_orders(orders: &mut SqliteConnection) -> sqlx::Result<Vec<Order>> {
    let rows: Vec<(String, String, String)> =
        sqlx::query_as("SELECT saga, user, sku FROM customer_order").fetch_all(orders).await?;
    Ok(rows.into_iter().map(|(saga, user, sku)| Order { saga, user, sku }).collect())
}
