//! What a CU-hour costs, as the user states it. Invariant: at any moment at most one price applies to a queue.

use std::cmp::Reverse;

use jiff::civil::Date;
use jiff::tz::{Offset, TimeZone};

use super::reader::Reader;
use super::units;
use crate::clock::UnixMillis;

/// Prices by where usage happens and from when they hold.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Pricing {
    /// ISO 4217 code.
    pub currency: String,
    /// What all of the usage may cost in 30 days; `None` = no budget.
    pub monthly_budget: Option<f64>,
    /// The narrowest first, among equals the latest first.
    prices: Vec<Price>,
}

/// A price of a CU-hour; what it does not name, it does not ask for.
#[derive(Clone, Debug, PartialEq)]
struct Price {
    region: Option<String>,
    workspace: Option<String>,
    queue: Option<String>,
    price: f64,
    /// `None` = since ever.
    from: Option<UnixMillis>,
}

impl Pricing {
    /// The price of a CU-hour at `now`: of the prices that fit, the narrowest one, and of several in succession the one
    /// that holds. A workspace is narrower than a queue, a queue than a region. `None` where nothing fits, or where the
    /// region would tell and is not known.
    pub fn price(&self, region: Option<&str>, workspace: &str, queue: &str, now: UnixMillis) -> Option<f64> {
        if region.is_none() && self.prices.iter().any(|price| price.region.is_some()) {
            return None;
        }
        let fits = |asked: &Option<String>, is: &str| asked.as_ref().is_none_or(|asked| asked == is);
        let holds = |price: &&Price| {
            price.from.is_none_or(|from| from <= now)
                && fits(&price.region, region.unwrap_or_default())
                && fits(&price.workspace, workspace)
                && fits(&price.queue, queue)
        };
        self.prices.iter().find(holds).map(|price| price.price)
    }

    /// When the next price begins to hold.
    pub fn next_change(&self, now: UnixMillis) -> Option<UnixMillis> {
        self.prices.iter().filter_map(|price| price.from).filter(|from| *from > now).min()
    }
}

impl Price {
    fn narrowness(&self) -> (bool, bool, bool) {
        (self.workspace.is_some(), self.queue.is_some(), self.region.is_some())
    }

    /// Two prices of one place and one date contradict each other.
    fn contradicts(&self, other: &Self) -> bool {
        (&self.region, &self.workspace, &self.queue, self.from)
            == (&other.region, &other.workspace, &other.queue, other.from)
    }
}

/// Reads the section `pricing`.
pub(super) fn read(reader: &mut Reader) -> Option<Pricing> {
    let currency = reader.read("pricing.currency", currency);
    let default = reader.optional("pricing.default", |text| amount(text).map(Some));
    let monthly_budget = reader.optional("pricing.monthly_budget", |text| amount(text).map(Some));
    let count = reader.count("pricing.by").unwrap_or(0);
    let read: Vec<_> = (0..count).map(|i| price(reader, &format!("pricing.by[{i}]"))).collect();
    for (j, one) in read.iter().enumerate() {
        let earlier = read[..j].iter().position(|other| match (one, other) {
            (Some(Some(one)), Some(Some(other))) => one.contradicts(other),
            _ => false,
        });
        if let Some(i) = earlier {
            let message = format!(
                "pricing.by[{i}] has a price for the same place and date already; change one of them, or give it a `from`"
            );
            reader.fail(&format!("pricing.by[{j}]"), message);
        }
    }
    let mut prices: Vec<Price> =
        read.into_iter().collect::<Option<Vec<_>>>()?.into_iter().flatten().collect();
    let default = default?;
    prices.extend(default.map(|price| Price {
        region: None,
        workspace: None,
        queue: None,
        price,
        from: None,
    }));
    if prices.is_empty() && !reader.has_failed("pricing") && reader.is_given("pricing.monthly_budget") {
        let message = "a budget is held against usage × price; set pricing.default, too";
        reader.fail("pricing.monthly_budget", message);
    }
    prices.sort_by_key(|price| (Reverse(price.narrowness()), Reverse(price.from)));
    Some(Pricing { currency: currency?, monthly_budget: monthly_budget?, prices })
}

/// One item; `Some(None)` where all of its keys are null, as in the commented example.
fn price(reader: &mut Reader, path: &str) -> Option<Option<Price>> {
    let at = |key: &str| format!("{path}.{key}");
    let places = ["region", "workspace", "queue", "from"].map(at);
    let has_place = places.iter().any(|key| reader.is_given(key));
    if !has_place && !reader.is_given(&at("price")) && !reader.has_failed(path) {
        return Some(None);
    }
    let region = reader.optional(&places[0], |text| units::region(text).map(Some));
    let workspace = reader.optional(&places[1], |text| super::workspaces::workspace_id(text).map(Some));
    let queue = reader.optional(&places[2], |text| queue(text).map(Some));
    let from = reader.optional(&places[3], |text| date(text).map(Some));
    let price = reader.optional(&at("price"), |text| amount(text).map(Some));
    if price == Some(None) {
        reader.fail(path, "a price is missing; add `price: …`");
    }
    if !has_place && !reader.has_failed(path) {
        let message = "this price names no place and no date; put it into pricing.default, or add region, workspace, queue or from";
        reader.fail(path, message);
    }
    let (region, workspace, queue, from) = (region?, workspace?, queue?, from?);
    Some(Some(Price { region, workspace, queue, price: price??, from }))
}

fn amount(text: &str) -> Result<f64, String> {
    // `1_000`, `1,5` and a currency's sign are refused with the rest.
    units::number(text, &(0.0..=1_000_000_000.0), "a number")
}

fn currency(text: &str) -> Result<String, String> {
    if text.len() == 3 && text.bytes().all(|b| b.is_ascii_uppercase()) {
        return Ok(text.to_owned());
    }
    Err("expected the three capital letters of a currency, such as CNY or USD".to_owned())
}

fn queue(text: &str) -> Result<String, String> {
    if (1..=256).contains(&text.chars().count()) {
        return Ok(text.to_owned());
    }
    Err("expected the name of a queue, such as root_queue".to_owned())
}

/// The first moment of a day in UTC+8, which is where the service's billing days begin.
fn date(text: &str) -> Result<UnixMillis, String> {
    let is_plain = text.len() == 10 && text.bytes().all(|b| b.is_ascii_digit() || b == b'-');
    let date = text.parse::<Date>().ok().filter(|_| is_plain);
    let begins = date.and_then(|date| date.to_zoned(TimeZone::fixed(Offset::constant(8))).ok());
    let begins = begins.map(|begins| begins.timestamp().as_millisecond());
    begins.ok_or_else(|| "expected a date such as 2026-01-31; it begins at midnight in UTC+8".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{LoadRequest, load};

    fn pricing(yaml: &str) -> Pricing {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), yaml).unwrap();
        let environment = [("ALIBABA_CLOUD_REGION_ID".to_owned(), "cn-hangzhou".to_owned())];
        load(LoadRequest { file: Some(file.path()), environment, overrides: Vec::new() }).unwrap().pricing
    }

    const NEW_YEAR: UnixMillis = 1_767_196_800_000; // 2025-12-31T16:00:00Z

    #[test]
    fn the_narrowest_price_that_fits_applies_whatever_the_order() {
        let pricing = pricing(
            "pricing:\n  default: 1\n  by:\n    - {region: cn-beijing, price: 2}\n    - {workspace: w-1, price: 4}\n    \
             - {queue: dev_queue, price: 3}\n    - {workspace: w-1, queue: dev_queue, price: 0}\n",
        );
        for (region, workspace, queue, expected) in [
            ("cn-hangzhou", "w-9", "root_queue", 1.0),
            ("cn-beijing", "w-9", "root_queue", 2.0),
            ("cn-beijing", "w-9", "dev_queue", 3.0),
            ("cn-beijing", "w-1", "root_queue", 4.0),
            ("cn-hangzhou", "w-1", "dev_queue", 0.0),
        ] {
            let price = pricing.price(Some(region), workspace, queue, 0);
            assert_eq!(price, Some(expected), "{region} {workspace} {queue}");
        }
        assert_eq!(pricing.price(None, "w-1", "dev_queue", 0), None, "the region might tell");
    }

    #[test]
    fn a_price_holds_from_its_day_in_utc_8_until_the_next() {
        let pricing = pricing(
            "pricing:\n  default: 1\n  by:\n    - {from: 2026-01-01, price: 2}\n    - {from: 2026-03-01, price: 3}\n",
        );
        let at = |now| pricing.price(None, "w-1", "q", now);
        assert_eq!((at(NEW_YEAR - 1), at(NEW_YEAR)), (Some(1.0), Some(2.0)));
        assert_eq!(pricing.next_change(NEW_YEAR - 1), Some(NEW_YEAR));
        let march = pricing.next_change(NEW_YEAR).unwrap();
        assert_eq!((at(march - 1), at(march), pricing.next_change(march)), (Some(2.0), Some(3.0), None));
    }

    #[test]
    fn without_prices_nothing_has_one() {
        assert_eq!(pricing("log: {level: info}\n").price(None, "w-1", "q", 0), None);
        let later = pricing("pricing:\n  by:\n    - {queue: q, from: 2026-01-01, price: 2}\n");
        assert_eq!(later.price(None, "w-1", "q", NEW_YEAR - 1), None);
        assert_eq!(later.price(None, "w-1", "other", NEW_YEAR), None);
    }
}
