//! What the attribute itself says: `service = "InventoryService"`.

use proc_macro2::TokenStream;
use syn::parse::{Parse, ParseStream};
use syn::punctuated::Punctuated;
use syn::{Error, Ident, LitStr, Result, Token};

const USAGE: &str = "say which service it is: #[participant(service = \"InventoryService\")]";

/// The service's name.
pub(crate) struct Service(pub(crate) LitStr);

/// `key = "text"`.
pub(crate) struct Said {
    pub(crate) key: Ident,
    pub(crate) text: LitStr,
}

impl Parse for Said {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let key = input.parse()?;
        input.parse::<Token![=]>()?;
        Ok(Self { key, text: input.parse()? })
    }
}

impl Service {
    pub(crate) fn read(attribute: TokenStream) -> Result<Self> {
        let all =
            syn::parse::Parser::parse2(Punctuated::<Said, Token![,]>::parse_terminated, attribute)?;
        let mut service = None;
        for Said { key, text } in all {
            if key != "service" {
                let what = format!("there is no key `{key}`; {USAGE}");
                return Err(Error::new(key.span(), what));
            }
            if service.is_some() {
                return Err(Error::new(key.span(), "the service is named twice"));
            }
            must_be_a_name(&text, "a service")?;
            service = Some(Self(text));
        }
        service.ok_or_else(|| Error::new(proc_macro2::Span::call_site(), USAGE))
    }
}

/// A name of a service or a command has no dot in it: the dot stands between the two.
pub(crate) fn must_be_a_name(text: &LitStr, what: &str) -> Result<()> {
    let name = text.value();
    if name.is_empty() {
        return Err(Error::new(text.span(), format!("the name of {what} is empty")));
    }
    if let Some((_, after)) = name.rsplit_once('.') {
        let what = format!("the name of {what} has no dot; write what stands after it: {after:?}");
        return Err(Error::new(text.span(), what));
    }
    Ok(())
}
