//! What is played: customer masters, stories, the official accounts and carriers that they name.
//!
//! Either files or an invented population; past this file nobody knows which. Surprising: an invented master is written to the
//! data folder and then read like anybody's, so that both go the same way, and can be played again.

use std::{
    collections::BTreeSet,
    fs::File,
    io::{self, BufReader, BufWriter},
    path::{Path, PathBuf},
};

use musubi_domain::{
    Error,
    id::{CarrierId, CompanyId, OfficialAccountId},
};
use musubi_matching::AccountFormat;
use musubi_terminal_simulator::story::{StoriesError, Story, read_stories, write_stories};

use super::{
    Args, CustomersArg, MatchingArg,
    master_file::{MasterFileError, account_format},
};
use crate::{
    cluster::Matching,
    population::{self, OfficialAccountPlan, Plan, write_customers},
};

/// The first companies of an invented population: official account, display name, digits of an account number.
const COMPANIES: [(&str, &str, u8); 6] = [
    ("aoba-bank", "青葉銀行", 7),
    ("hinata-gas", "ひなたガス", 10),
    ("kaede-bank", "かえで銀行", 7),
    ("minori-power", "みのり電力", 10),
    ("suzuran-bank", "すずらん銀行", 7),
    ("tsubame-card", "つばめカード", 12),
];
/// The first carriers.
const CARRIERS: [&str; 6] = ["kumo", "nami", "hoshi", "tsuki", "kaze", "sora"];

/// Everything that is played.
pub(super) struct Material {
    /// The official accounts, one company each.
    pub(super) accounts: Vec<AccountMaterial>,
    /// The carriers that the stories name.
    pub(super) carriers: Vec<CarrierId>,
    /// The stories.
    pub(super) stories: Vec<Story>,
}

/// An official account and its company.
pub(super) struct AccountMaterial {
    /// The official account.
    pub(super) id: OfficialAccountId,
    /// The company, of the same name.
    pub(super) company: CompanyId,
    /// What talk rooms show.
    pub(super) display_name: String,
    /// The customer master.
    pub(super) master: PathBuf,
    /// How long its numbers are.
    pub(super) format: AccountFormat,
    /// How it is matched.
    pub(super) matching: Matching,
}

/// Why there is nothing to play. Every one is the caller's to mend.
#[derive(Debug, thiserror::Error)]
pub(super) enum MaterialError {
    /// A file can't be opened, read or written.
    #[error("{} can not be opened: {source}; name a file that can", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
    /// A stories file is wrong.
    #[error("{}: {source}", path.display())]
    Stories {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        source: StoriesError,
    },
    /// A customer master is wrong.
    #[error("{}: {source}", path.display())]
    Master {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        source: MasterFileError,
    },
    /// A customer master can't be written.
    #[error("{} can not be written: {source}; name a data folder with room", path.display())]
    Write {
        /// Which.
        path: PathBuf,
        /// What went wrong.
        source: csv::Error,
    },
    /// A story's carrier, or an account, has a name that can't be one.
    #[error("{0}")]
    Name(#[from] Error),
    /// Stories of an account whose customers nobody gave.
    #[error("the stories follow {0}, whose customers are not given; add --customers {0}=FILE.csv")]
    NoCustomers(String),
    /// An account was given twice.
    #[error("--customers {0} stands twice; give each official account one file")]
    Twice(OfficialAccountId),
    /// There are no stories.
    #[error("{} holds no stories; write at least one row", .0.display())]
    NoStories(PathBuf),
}

impl Material {
    /// Reads the files that are asked for, or invents a population whose masters and stories are written to `folder`.
    ///
    /// # Errors
    /// What the caller has to mend.
    pub(super) fn prepare(args: &Args, folder: &Path) -> Result<Self, MaterialError> {
        match &args.stories {
            Some(stories) => Self::from_files(stories, &args.customers, args.matching),
            None => Self::invent(args, folder),
        }
    }

    fn from_files(
        stories: &Path,
        customers: &[CustomersArg],
        matching: MatchingArg,
    ) -> Result<Self, MaterialError> {
        let source = |source| MaterialError::Stories { path: stories.to_owned(), source };
        let told = read_stories(BufReader::new(open(stories)?)).map_err(source)?;
        if told.is_empty() {
            return Err(MaterialError::NoStories(stories.to_owned()));
        }
        let mut given = BTreeSet::new();
        if let Some(twice) = customers.iter().find(|customers| !given.insert(&customers.official_account)) {
            return Err(MaterialError::Twice(twice.official_account.clone()));
        }
        let known = |story: &Story| given.iter().any(|id| id.as_str() == story.official_account);
        if let Some(story) = told.iter().find(|story| !known(story)) {
            return Err(MaterialError::NoCustomers(story.official_account.clone()));
        }
        let accounts = customers
            .iter()
            .map(|customers| {
                let id = &customers.official_account;
                (id.clone(), id.as_str().to_owned(), customers.file.clone())
            })
            .collect();
        Self::of(accounts, told, matching)
    }

    fn invent(args: &Args, folder: &Path) -> Result<Self, MaterialError> {
        let companies: Vec<(String, String, u8)> = (0..args.companies).map(company).collect();
        let carrier = |index: usize| {
            CARRIERS.get(index).map_or_else(|| format!("carrier-{}", index + 1), |id| (*id).to_owned())
        };
        let plan = Plan {
            seed: args.seed,
            followers: args.followers,
            official_accounts: companies
                .iter()
                .map(|(id, _, digits)| OfficialAccountPlan {
                    id: id.clone(),
                    account_digits: *digits,
                    branch_digits: 3,
                    customer_prefix: id.chars().take(1).map(|c| c.to_ascii_uppercase()).collect(),
                })
                .collect(),
            carriers: (0..args.carriers).map(carrier).collect(),
        };
        let population = population::generate(&plan);
        let path = folder.join("followers.csv");
        write_stories(&population.stories, BufWriter::new(create(&path)?))
            .map_err(|source| MaterialError::Stories { path, source })?;
        let mut accounts = Vec::new();
        for (master, (id, display_name, _)) in population.masters.into_iter().zip(companies) {
            let path = folder.join(format!("customers-{id}.csv"));
            write_customers(&master.rows, BufWriter::new(create(&path)?))
                .map_err(|source| MaterialError::Write { path: path.clone(), source })?;
            accounts.push((id.parse()?, display_name, path));
        }
        Self::of(accounts, population.stories, args.matching)
    }

    fn of(
        accounts: Vec<(OfficialAccountId, String, PathBuf)>,
        stories: Vec<Story>,
        matching: MatchingArg,
    ) -> Result<Self, MaterialError> {
        let accounts = accounts
            .into_iter()
            .enumerate()
            .map(|(index, (id, display_name, master))| {
                let file = std::fs::read(&master)
                    .map_err(|source| MaterialError::File { path: master.clone(), source })?;
                let format = account_format(&file)
                    .map_err(|source| MaterialError::Master { path: master.clone(), source })?;
                let (company, matching) = (id.as_str().parse()?, matching.of(index));
                Ok(AccountMaterial { id, company, display_name, master, format, matching })
            })
            .collect::<Result<_, MaterialError>>()?;
        let carriers: BTreeSet<&str> = stories.iter().map(|story| story.carrier.as_str()).collect();
        let carriers = carriers.into_iter().map(str::parse).collect::<Result<_, Error>>()?;
        Ok(Self { accounts, carriers, stories })
    }
}

/// The `index`th invented company: official account, display name, digits.
fn company(index: usize) -> (String, String, u8) {
    match COMPANIES.get(index) {
        Some((id, name, digits)) => ((*id).to_owned(), (*name).to_owned(), *digits),
        None => (format!("company-{}", index + 1), format!("第{}商会", index + 1), 10),
    }
}

fn open(path: &Path) -> Result<File, MaterialError> {
    File::open(path).map_err(|source| MaterialError::File { path: path.to_owned(), source })
}

fn create(path: &Path) -> Result<File, MaterialError> {
    File::create(path).map_err(|source| MaterialError::File { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::tests::args;

    const SAMPLES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/samples");

    fn from_samples(customers: &[&str]) -> Result<Material, MaterialError> {
        let files = customers
            .iter()
            .flat_map(|id| ["--customers".to_owned(), format!("{id}={SAMPLES}/customers-{id}.csv")]);
        let stories = ["--stories".to_owned(), format!("{SAMPLES}/followers.csv")];
        let args = args(&files.chain(stories).collect::<Vec<_>>());
        Material::prepare(&args, Path::new("not used"))
    }

    #[test]
    fn files_tell_accounts_carriers_and_formats() {
        let material = from_samples(&["aoba-bank", "hinata-gas"]).unwrap();
        let formats: Vec<_> = material
            .accounts
            .iter()
            .map(|account| (account.id.as_str(), account.format.account_digits, account.matching))
            .collect();
        assert_eq!(formats, [("aoba-bank", 7, Matching::Inquiry), ("hinata-gas", 10, Matching::Custody)]);
        let carriers: Vec<&str> = material.carriers.iter().map(CarrierId::as_str).collect();
        assert_eq!(carriers, ["hoshi", "kumo", "nami"]);
        assert_eq!(material.stories.len(), 80);
    }

    #[test]
    fn stories_without_their_customers_and_customers_given_twice_are_refused() {
        let error = from_samples(&["aoba-bank"]).err().unwrap().to_string();
        assert!(error.contains("--customers hinata-gas=FILE.csv"), "{error}");
        let error = from_samples(&["aoba-bank", "hinata-gas", "aoba-bank"]).err().unwrap().to_string();
        assert!(error.contains("--customers aoba-bank stands twice"), "{error}");
    }

    #[test]
    fn invented_population_can_be_played_again_from_its_files() {
        let folder = tempfile::tempdir().unwrap();
        let invented = args(&["--followers", "40", "--companies", "7", "--carriers", "2"].map(str::to_owned));
        let material = Material::prepare(&invented, folder.path()).unwrap();
        assert_eq!((material.accounts.len(), material.stories.len()), (7, 40));
        assert_eq!(material.accounts[6].id.as_str(), "company-7");
        let mut again =
            vec!["--stories".to_owned(), folder.path().join("followers.csv").display().to_string()];
        for account in &material.accounts {
            again.extend(["--customers".to_owned(), format!("{}={}", account.id, account.master.display())]);
        }
        assert_eq!(Material::prepare(&args(&again), folder.path()).unwrap().stories, material.stories);
    }
}
