//! The attribute macro of the participant kit: see `amends_participant::participant`.

mod expand;
mod handler;
mod service;

use proc_macro::TokenStream;

/// Makes a participant of an `impl` block whose functions are handlers.
///
/// ```text
/// #[participant(service = "InventoryService")]
/// impl Inventory {
///     #[action("ReserveItems")]
///     async fn reserve(&self, tx: &mut Tx<Postgres>, order: Order, about: &About)
///         -> Outcome<Reservation> { … }
///
///     #[compensation("ReleaseReservation", undoes = "ReserveItems")]
///     async fn release(&self, tx: &mut Tx<Postgres>, held: Reservation, about: &About)
///         -> Undoing { … }
/// }
/// ```
///
/// It adds `Inventory::participant(self, pool) -> Builder<Postgres>`. That a compensation takes
/// what its action returns is checked by the compiler. `&self` may be left out.
#[proc_macro_attribute]
pub fn participant(attribute: TokenStream, item: TokenStream) -> TokenStream {
    expand::expand(attribute.into(), item.into()).into()
}
