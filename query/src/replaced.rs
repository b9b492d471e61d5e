//! A schema of somebody else's, some of whose tables are ours.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::catalog::{SchemaProvider, TableProvider};
use datafusion::error::DataFusionError;

/// The schema with these tables in place of its own, by their names.
#[derive(Debug)]
pub(crate) struct Replaced {
    pub(crate) schema: Arc<dyn SchemaProvider>,
    pub(crate) tables: BTreeMap<&'static str, Arc<dyn TableProvider>>,
}

#[async_trait]
impl SchemaProvider for Replaced {
    fn table_names(&self) -> Vec<String> {
        self.schema.table_names()
    }

    async fn table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>, DataFusionError> {
        match self.tables.get(name) {
            Some(table) => Ok(Some(table.clone())),
            None => self.schema.table(name).await,
        }
    }

    fn table_exist(&self, name: &str) -> bool {
        self.schema.table_exist(name)
    }
}
