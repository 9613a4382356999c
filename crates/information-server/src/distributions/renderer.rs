//! What the deliveries of distributions say.

use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock},
};

use musubi_domain::{Error, ErrorKind, content::Content, delivery::Purpose, id::DistributionId};
use musubi_storage::information::{InformationStore, distribution::Templates};

/// How many distributions' templates are kept; more run at once in no deployment.
const KEPT: usize = 256;

/// Renders contents. A distribution's templates never change, so what was read once stays.
pub struct Renderer {
    store: Arc<dyn InformationStore>,
    kept: RwLock<HashMap<DistributionId, Arc<Templates>>>,
}

impl Renderer {
    /// Reads templates from this store.
    #[must_use]
    pub fn new(store: Arc<dyn InformationStore>) -> Self {
        Self { store, kept: RwLock::default() }
    }

    /// What an attempt of this distribution says: the individual message with the customer's values, or the uniform one.
    ///
    /// # Errors
    /// `Unavailable` when the store doesn't work: try again. `Internal` when it can't be said: the purpose is none of a
    /// distribution's, or the values aren't those of the template.
    pub async fn content(
        &self,
        distribution: DistributionId,
        purpose: Purpose,
        values: &[String],
    ) -> Result<Content, Error> {
        let templates = self.templates(distribution).await?;
        let template = match purpose {
            Purpose::Individual => templates.individual.as_ref(),
            Purpose::Uniform => Some(&templates.uniform),
            Purpose::Undecided
            | Purpose::Question
            | Purpose::Account
            | Purpose::AccountAgain
            | Purpose::Identity
            | Purpose::Confirmed
            | Purpose::NotConfirmed
            | Purpose::ReviewRejected
            | Purpose::Renewal
            | Purpose::EraseAsked
            | Purpose::Erasing => None,
        };
        let internal = |problem: String| Error::new(ErrorKind::Internal, problem, "");
        template
            .ok_or_else(|| internal(format!("{distribution} has no {} message", purpose.as_str())))?
            .render(values)
            .map_err(|error| internal(format!("{distribution} can't be rendered: {error}")))
    }

    async fn templates(&self, id: DistributionId) -> Result<Arc<Templates>, Error> {
        let known = self.kept.read().unwrap_or_else(PoisonError::into_inner).get(&id).cloned();
        if let Some(known) = known {
            return Ok(known);
        }
        let templates = Arc::new(self.store.get_templates(id).await?);
        let mut kept = self.kept.write().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= KEPT {
            kept.clear();
        }
        kept.insert(id, Arc::clone(&templates));
        Ok(templates)
    }
}
