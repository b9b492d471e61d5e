//! The provider by name: its customers, platforms, products and suppliers, and the agreements that follow from them.
//! All of them are made up.

use super::{Agreement, OfferingId, Service, Temper, Tier};

/// The customers: id, name, and whether they work in US Eastern time.
pub(in super::super) const CUSTOMERS: [(&str, &str, bool); 25] = [
    ("acme", "ACME Retail", false),
    ("albatros", "Albatros Air Freight", false),
    ("bergmann", "Bergmann Tools", false),
    ("borealis", "Borealis Energy", false),
    ("cobalt", "Cobalt Insurance", false),
    ("corvus", "Corvus Media", false),
    ("dornfeld", "Dornfeld Foods", false),
    ("elbtal", "Elbtal Hospitals", false),
    ("fjord", "Fjord Ferries", false),
    ("granit", "Granit Construction", false),
    ("hansekontor", "Hansekontor Bank", false),
    ("harborview", "Harborview Stores", true),
    ("isar", "Isar Mobility", false),
    ("kestrel", "Kestrel Parcels", false),
    ("lakeshore", "Lakeshore Clinics", true),
    ("lindenhof", "Lindenhof Hotels", false),
    ("meridian", "Meridian Travel", false),
    ("nordlicht", "Nordlicht Tickets", false),
    ("oakridge", "Oakridge Mutual", true),
    ("orchard", "Orchard Grocers", false),
    ("palisade", "Palisade Security", false),
    ("quarzwerk", "Quarzwerk Glass", false),
    ("tamarind", "Tamarind Textiles", false),
    ("ulmental", "Ulmental Machines", false),
    ("westbrook", "Westbrook Outfitters", true),
];

/// What everything else stands on: id, name, tier, owner, and what it needs, by id, from further up.
/// The first twenty are the provider's own (they have OLAs), the other twelve are bought (they have UCs).
const PLATFORMS: [(&str, &str, Tier, &str, &[&str]); 32] = [
    ("network-core", "Core network", Tier::Gold, "network", &[]),
    ("network-campus", "Campus network", Tier::Silver, "network", &["network-core"]),
    ("dns", "Name service", Tier::Gold, "network", &["network-core"]),
    ("time-service", "Time service", Tier::Silver, "network", &["network-core"]),
    ("firewall", "Firewall", Tier::Silver, "security", &["network-core"]),
    ("load-balancer", "Load balancers", Tier::Silver, "network", &["network-core", "firewall"]),
    ("storage", "Block storage", Tier::Gold, "storage", &["network-core"]),
    ("object-storage", "Object storage", Tier::Silver, "storage", &["storage"]),
    ("virtualisation", "Virtual machines", Tier::Silver, "compute", &["storage", "network-core"]),
    ("kubernetes", "Kubernetes platform", Tier::Gold, "compute", &["virtualisation", "load-balancer"]),
    ("identity", "Identity and single sign-on", Tier::Gold, "security", &["dns", "virtualisation"]),
    ("certificates", "Certificate authority", Tier::Silver, "security", &["identity"]),
    ("database-postgres", "PostgreSQL clusters", Tier::Silver, "databases", &["virtualisation", "storage"]),
    ("database-commercial", "Licensed databases", Tier::Silver, "databases", &["virtualisation", "storage"]),
    ("message-broker", "Message broker", Tier::Silver, "integration", &["kubernetes"]),
    ("api-gateway", "API gateway", Tier::Silver, "integration", &["kubernetes", "identity"]),
    ("mail-relay", "Mail relay", Tier::Silver, "workplace", &["dns"]),
    ("backup", "Backup and restore", Tier::Silver, "storage", &["object-storage"]),
    ("log-platform", "Log platform", Tier::Silver, "compute", &["object-storage", "kubernetes"]),
    ("software-delivery", "Software delivery", Tier::Silver, "workplace", &["object-storage", "identity"]),
    ("internet-uplink-north", "Internet uplink north", Tier::Silver, "network", &[]),
    ("internet-uplink-south", "Internet uplink south", Tier::Silver, "network", &[]),
    ("wide-area-network", "Wide area network", Tier::Silver, "network", &[]),
    ("payment-network", "Payment network", Tier::Gold, "integration", &[]),
    ("card-acquirer", "Card acquirer", Tier::Silver, "integration", &["payment-network"]),
    ("content-delivery", "Content delivery", Tier::Silver, "network", &[]),
    ("cloud-frankfurt", "Public cloud, Frankfurt", Tier::Silver, "compute", &[]),
    ("cloud-virginia", "Public cloud, Virginia", Tier::Silver, "compute", &[]),
    ("sms-gateway", "SMS gateway", Tier::Silver, "integration", &[]),
    ("voice-carrier", "Voice carrier", Tier::Silver, "workplace", &[]),
    ("address-data", "Address data", Tier::Silver, "integration", &[]),
    ("data-centre-power", "Data centre power and cooling", Tier::Silver, "facilities", &[]),
];
const PLATFORMS_OWN_COUNT: usize = 20;

/// What several customers share: id, name, tier, how many customers, and the platforms it needs.
const SHARED: [(&str, &str, Tier, usize, &[&str]); 6] = [
    ("e-mail", "E-mail", Tier::Silver, 8, &["mail-relay", "identity", "storage"]),
    ("vpn", "Remote access (VPN)", Tier::Silver, 7, &["internet-uplink-north", "firewall", "identity"]),
    ("collaboration", "Collaboration suite", Tier::Silver, 7, &["identity", "object-storage"]),
    ("telephony", "Telephony", Tier::Silver, 6, &["voice-carrier", "network-campus"]),
    ("managed-desktop", "Managed desktop", Tier::Bronze, 5, &["software-delivery", "identity"]),
    ("service-portal", "Service portal", Tier::Silver, 5, &["kubernetes", "identity"]),
];

/// What each customer may have of its own: id, name, tier, team, and the platforms it needs.
const PRODUCTS: [(&str, &str, Tier, &str, &[&str]); 16] = [
    (
        "web-shop",
        "web shop",
        Tier::Silver,
        "commerce",
        &["kubernetes", "content-delivery", "database-postgres", "card-acquirer"],
    ),
    ("payment", "payment", Tier::Gold, "commerce", &["payment-network", "kubernetes", "database-commercial"]),
    ("booking", "booking", Tier::Silver, "commerce", &["kubernetes", "database-postgres", "sms-gateway"]),
    (
        "point-of-sale",
        "points of sale",
        Tier::Silver,
        "commerce",
        &["wide-area-network", "card-acquirer", "message-broker"],
    ),
    ("erp", "ERP", Tier::Silver, "applications", &["database-commercial", "virtualisation", "identity"]),
    ("customer-portal", "customer portal", Tier::Silver, "commerce", &["api-gateway", "identity", "load-balancer"]),
    ("partner-api", "partner API", Tier::Silver, "integration", &["api-gateway", "internet-uplink-south"]),
    (
        "warehouse",
        "warehouse management",
        Tier::Silver,
        "applications",
        &["database-postgres", "message-broker", "network-campus"],
    ),
    ("crm", "CRM", Tier::Bronze, "applications", &["cloud-frankfurt", "identity", "address-data"]),
    ("data-warehouse", "data warehouse", Tier::Bronze, "analytics", &["object-storage", "database-postgres"]),
    ("intranet", "intranet", Tier::Bronze, "workplace", &["kubernetes", "identity"]),
    ("file-share", "file share", Tier::Bronze, "workplace", &["storage", "identity"]),
    ("fleet", "fleet tracking", Tier::Bronze, "applications", &["cloud-frankfurt", "message-broker"]),
    ("document-archive", "document archive", Tier::Bronze, "applications", &["object-storage", "backup"]),
    ("payroll", "payroll", Tier::Bronze, "applications", &["database-commercial", "identity"]),
    ("reporting", "reporting", Tier::Bronze, "analytics", &["database-postgres", "cloud-virginia"]),
];

/// Products that nobody checks: their state follows from incidents alone.
const UNCHECKED_PRODUCTS: [&str; 3] = ["document-archive", "payroll", "reporting"];
/// How many services are a customer's own; with the platforms and the shared ones there are 200.
const OWN_SERVICES_COUNT: usize = 162;
/// Every so manieth web shop is gold.
const GOLD_WEB_SHOP_EVERY: usize = 2;
/// Teams that rely on the platforms.
const RELYING_TEAMS: [&str; 3] = ["commerce", "applications", "workplace"];

/// The catalogue without this month's luck: platforms first, then shared services, then each customer's own.
pub(super) fn services() -> Vec<Service> {
    let mut services: Vec<Service> = Vec::new();
    for (place, (id, name, tier, owner, needs)) in PLATFORMS.into_iter().enumerate() {
        let offering = if place < PLATFORMS_OWN_COUNT { OfferingId::Ola } else { OfferingId::Uc };
        let weight = 1;
        services.push(service(
            id.to_owned(),
            name.to_owned(),
            tier,
            owner,
            (offering, weight),
            places(&services, needs),
        ));
    }
    let mut next_customer = 0;
    for (id, name, tier, customers_count, needs) in SHARED {
        let mut shared = service(
            id.to_owned(),
            name.to_owned(),
            tier,
            "workplace",
            (offering_of(tier, false), 4),
            places(&services, needs),
        );
        shared.customers =
            (next_customer..next_customer + customers_count).map(|place| place % CUSTOMERS.len()).collect();
        next_customer += customers_count;
        services.push(shared);
    }
    for order in 0..OWN_SERVICES_COUNT {
        let customer = order % CUSTOMERS.len();
        // Each round moves every customer on by one product; different customers begin at different ones.
        let product = PRODUCTS[(order / CUSTOMERS.len() + customer * 2 + customer / 8) % PRODUCTS.len()];
        services.push(own_service(customer, product, &services));
    }
    for (place, service) in services.iter_mut().enumerate() {
        service.foreign = place % 4 == 3 && !service.unchecked;
    }
    services
}

fn own_service(customer: usize, product: (&str, &str, Tier, &'static str, &[&str]), services: &[Service]) -> Service {
    let (customer_id, customer_name, american) = CUSTOMERS[customer];
    let (id, name, tier, owner, needs) = product;
    let tier = match (id, tier) {
        ("web-shop", _) if customer.is_multiple_of(GOLD_WEB_SHOP_EVERY) => Tier::Gold,
        // Bronze is tied to German business hours.
        (_, Tier::Bronze) if american => Tier::Silver,
        _ => tier,
    };
    let weight = match tier {
        Tier::Gold => 4,
        Tier::Silver => 2,
        Tier::Bronze => 1,
    };
    let mut own = service(
        format!("{customer_id}-{id}"),
        format!("{customer_name} {name}"),
        tier,
        owner,
        (offering_of(tier, american), weight),
        places(services, needs),
    );
    own.customers = vec![customer];
    own.unchecked = UNCHECKED_PRODUCTS.contains(&id) && tier == Tier::Bronze;
    own
}

fn service(
    id: String,
    name: String,
    tier: Tier,
    owner: &'static str,
    (offering, weight): (OfferingId, i64),
    depends_on: Vec<usize>,
) -> Service {
    Service {
        id,
        name,
        tier,
        owner,
        customers: Vec::new(),
        depends_on,
        offering,
        unchecked: false,
        foreign: false,
        temper: Temper::Fine,
        watermelon: false,
        downtime_wanted: 0,
        unobserved: None,
        weight,
    }
}

fn offering_of(tier: Tier, american: bool) -> OfferingId {
    match (tier, american) {
        (Tier::Gold, _) => OfferingId::Gold,
        (Tier::Silver, true) => OfferingId::SilverUs,
        (Tier::Silver, false) => OfferingId::Silver,
        (Tier::Bronze, _) => OfferingId::Bronze,
    }
}

fn places(services: &[Service], ids: &[&str]) -> Vec<usize> {
    ids.iter().filter_map(|id| services.iter().position(|service| service.id == *id)).collect()
}

/// An SLA for each customer of each service (200), three OLAs for each of the provider's own platforms (60), and two
/// contracts for each bought platform and for the first eight of its own (40).
pub(super) fn agreements(services: &[Service]) -> Vec<Agreement> {
    let (own, bought) = (&services[..PLATFORMS_OWN_COUNT], &services[PLATFORMS_OWN_COUNT..PLATFORMS.len()]);
    let mut agreements = Vec::new();
    for (place, platform) in services.iter().enumerate().skip(PLATFORMS_OWN_COUNT).take(bought.len()) {
        agreements.push(contract(
            format!("uc-{}-delivery", platform.id),
            format!("{}: delivery", platform.name),
            place,
        ));
        agreements.push(contract(format!("uc-{}-support", platform.id), format!("{}: support", platform.name), place));
    }
    for (place, platform) in own.iter().enumerate().take(8) {
        for part in ["hardware", "software"] {
            let name = format!("{}: {part} maintenance", platform.name);
            agreements.push(contract(format!("uc-{}-{part}", platform.id), name, place));
        }
    }
    for (place, platform) in own.iter().enumerate() {
        for team in RELYING_TEAMS {
            agreements.push(Agreement {
                id: format!("ola-{}-{team}", platform.id),
                name: format!("{} for {team}", platform.name),
                agreement_type: "ola",
                customer: None,
                services: vec![place],
                offering: OfferingId::Ola,
                rests_on: if place < 8 { vec![format!("uc-{}-hardware", platform.id)] } else { Vec::new() },
                tightened: false,
            });
        }
    }
    for (place, service) in services.iter().enumerate().skip(PLATFORMS.len()) {
        agreements.extend(service.customers.iter().map(|&customer| promise(services, place, customer)));
    }
    for tier in [OfferingId::Gold, OfferingId::Silver] {
        if let Some(first) = agreements.iter_mut().find(|agreement| agreement.offering == tier) {
            first.tightened = true;
        }
    }
    agreements
}

fn contract(id: String, name: String, service: usize) -> Agreement {
    Agreement {
        id,
        name,
        agreement_type: "uc",
        customer: None,
        services: vec![service],
        offering: OfferingId::Uc,
        rests_on: Vec::new(),
        tightened: false,
    }
}

fn promise(services: &[Service], place: usize, customer: usize) -> Agreement {
    let service = &services[place];
    let (customer_id, customer_name, american) = CUSTOMERS[customer];
    let rests_on = service.depends_on.iter().map(|&platform| {
        let id = &services[platform].id;
        if platform < PLATFORMS_OWN_COUNT {
            let team = RELYING_TEAMS.into_iter().find(|team| *team == service.owner).unwrap_or(RELYING_TEAMS[1]);
            format!("ola-{id}-{team}")
        } else {
            format!("uc-{id}-delivery")
        }
    });
    let shared = service.customers.len() > 1;
    Agreement {
        id: if shared { format!("sla-{customer_id}-{}", service.id) } else { format!("sla-{}", service.id) },
        name: if shared { format!("{customer_name} {}", service.name) } else { service.name.clone() },
        agreement_type: "sla",
        customer: Some(customer),
        services: vec![place],
        // A shared service is run to one set of hours; only a customer's own follows its time zone.
        offering: if shared { service.offering } else { offering_of(service.tier, american) },
        rests_on: rests_on.collect(),
        tightened: false,
    }
}
