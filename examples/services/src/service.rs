//! Which services there are, and which worked saga needs which.

use std::fmt;
use std::str::FromStr;

use serde_json::{Value, json};

/// A service of the worked sagas.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Service {
    /// Reserves what an order needs.
    Inventory,
    /// Charges an order's card.
    Payment,
    /// Books an order's parcel.
    Shipping,
    /// Writes letters, for three of the four sagas.
    Notification,
    /// Keeps bank accounts.
    Accounts,
    /// Keeps the record of transfers.
    Ledger,
    /// Keeps departments' budgets.
    Budget,
    /// Pays expenses out.
    Reimbursement,
    /// Books rooms.
    Hotel,
    /// Books seats.
    Flight,
    /// Rents cars.
    Car,
}

impl Service {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::Inventory,
        Self::Payment,
        Self::Shipping,
        Self::Notification,
        Self::Accounts,
        Self::Ledger,
        Self::Budget,
        Self::Reimbursement,
        Self::Hotel,
        Self::Flight,
        Self::Car,
    ];

    /// Its short name: of its ledger's file, and on the command line.
    pub const fn name(self) -> &'static str {
        self.facts().0
    }

    /// Its name in definitions.
    pub const fn in_definitions(self) -> &'static str {
        self.facts().1
    }

    /// The port that the definition files expect it at.
    pub const fn usual_port(self) -> u16 {
        self.facts().2
    }

    /// The URL that the definition files name.
    pub fn usual_url(self) -> String {
        format!("http://127.0.0.1:{}", self.usual_port())
    }

    const fn facts(self) -> (&'static str, &'static str, u16) {
        match self {
            Self::Inventory => ("inventory", "InventoryService", 7101),
            Self::Payment => ("payment", "PaymentService", 7102),
            Self::Shipping => ("shipping", "ShippingService", 7103),
            Self::Notification => ("notification", "NotificationService", 7104),
            Self::Accounts => ("accounts", "AccountService", 7111),
            Self::Ledger => ("ledger", "LedgerService", 7112),
            Self::Budget => ("budget", "BudgetService", 7121),
            Self::Reimbursement => ("reimbursement", "ReimbursementService", 7122),
            Self::Hotel => ("hotel", "HotelService", 7131),
            Self::Flight => ("flight", "FlightService", 7132),
            Self::Car => ("car", "CarService", 7133),
        }
    }
}

impl fmt::Display for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A name that is no service's.
#[derive(Debug, PartialEq, Eq)]
pub struct UnknownService(pub String);

impl fmt::Display for UnknownService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known: Vec<&str> = Service::ALL.iter().map(|service| service.name()).collect();
        write!(f, "there is no service {:?}; there are {}", self.0, known.join(", "))
    }
}

impl std::error::Error for UnknownService {}

impl FromStr for Service {
    type Err = UnknownService;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.into_iter().find(|service| service.name() == name);
        found.ok_or_else(|| UnknownService(name.to_owned()))
    }
}

/// A worked saga: its definition file, its services, and data that it completes with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Worked {
    /// Order fulfilment.
    Order,
    /// A bank transfer.
    Bank,
    /// An expense that a person approves.
    Approval,
    /// Hotel, flight and car.
    Travel,
}

impl Worked {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Order, Self::Bank, Self::Approval, Self::Travel];

    /// Its short name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Order => "order",
            Self::Bank => "bank",
            Self::Approval => "approval",
            Self::Travel => "travel",
        }
    }

    /// Its definition file's text, with the services at their usual ports.
    pub const fn definition(self) -> &'static str {
        match self {
            Self::Order => include_str!("../../order/order.yaml"),
            Self::Bank => include_str!("../../bank/transfer.yaml"),
            Self::Approval => include_str!("../../approval/approval.yaml"),
            Self::Travel => include_str!("../../travel/travel.yaml"),
        }
    }

    /// The services that its definition names.
    pub const fn services(self) -> &'static [Service] {
        match self {
            Self::Order => {
                &[Service::Inventory, Service::Payment, Service::Shipping, Service::Notification]
            }
            Self::Bank => &[Service::Accounts, Service::Ledger, Service::Notification],
            Self::Approval => &[Service::Budget, Service::Reimbursement, Service::Notification],
            Self::Travel => &[Service::Hotel, Service::Flight, Service::Car],
        }
    }

    /// Data of the `n`th saga, with which it completes. Different `n` share no account and no
    /// business key.
    pub fn sample(self, n: u64) -> Value {
        match self {
            Self::Order => json!({
                "order_id": format!("order-{n}"),
                "customer_id": format!("customer-{n}"),
                "items": [{"sku": "kettle", "quantity": 1}, {"sku": "tea", "quantity": 3}],
                "payment_method": "card_visa",
                "total": 4200,
                "shipping_address": "12 Long Street, Cape Town",
            }),
            Self::Bank => json!({
                "transfer_id": format!("transfer-{n}"),
                "source_account": format!("account-{}", 2 * n),
                "destination_account": format!("account-{}", 2 * n + 1),
                "amount": 2500,
            }),
            Self::Approval => json!({
                "expense_id": format!("expense-{n}"),
                "department": "research",
                "employee": format!("employee-{n}"),
                "amount": 180,
            }),
            Self::Travel => json!({
                "trip_id": format!("trip-{n}"),
                "rooms": [{"kind": "double"}, {"kind": "single"}],
                "flight": {"number": "AM 204", "seats": 3},
                "car": {"class": "compact"},
            }),
        }
    }
}

impl FromStr for Worked {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.into_iter().find(|worked| worked.name() == name);
        found.ok_or_else(|| {
            format!("there is no worked saga {name:?}; there are order, bank, approval, travel")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definition_files_name_each_of_their_services_at_its_usual_port() {
        for worked in Worked::ALL {
            for service in worked.services() {
                let text = worked.definition();
                let line = text.lines().find(|line| {
                    line.trim_start().starts_with(&format!("{}:", service.in_definitions()))
                });
                let line = line.unwrap_or_else(|| panic!("{} lacks {service}", worked.name()));
                assert!(line.contains(&format!("\"{}\"", service.usual_url())), "{line}");
            }
        }
    }

    #[test]
    fn names_are_read_back_and_others_are_told_what_there_is() {
        for service in Service::ALL {
            assert_eq!(service.name().parse(), Ok(service));
        }
        let error = "warehouse".parse::<Service>().unwrap_err().to_string();
        assert!(error.contains("warehouse") && error.contains("inventory"), "{error}");
    }
}
