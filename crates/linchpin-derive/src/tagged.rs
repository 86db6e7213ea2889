//! `#[derive(Tagged)]`: an enum as one word.
//!
//! What it calls are methods of the trait that it implements. A crate may have an item of any other name that is asked for here, be it
//! `::linchpin` or `::core`; but then the trait is not the one that the library asks for, or the types are not those of its methods.

use proc_macro2::{Span, TokenStream as Tokens};
use quote::{quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{Data, DeriveInput, Error, Fields, Member, parse_quote};

/// Tags there are: an object's address has four bits that are always 0.
const TAGS: usize = 16;

pub(crate) fn expand(input: &DeriveInput) -> Result<Tokens, Error> {
    let Data::Enum(data) = &input.data else {
        return Err(Error::new_spanned(
            &input.ident,
            "Tagged can be derived for an enum: its variants are the tags of a word",
        ));
    };
    if let Some(variant) = data.variants.iter().nth(TAGS) {
        return Err(Error::new_spanned(
            variant,
            "a tagged word has room for 16 variants; this is the seventeenth: put some of them behind a pointer",
        ));
    }
    if data.variants.is_empty() {
        return Err(Error::new_spanned(&input.ident, "an enum without variants has no values to pack into a word"));
    }
    let (mut into, mut from, mut target) = (Tokens::new(), Tokens::new(), Tokens::new());
    for (tag, variant) in data.variants.iter().enumerate() {
        let name = &variant.ident;
        match only_member(&variant.fields)? {
            None => {
                into.extend(quote!(Self::#name {} => <Self as ::linchpin::Tagged>::__bare(#tag),));
                from.extend(quote!(#tag => Self::#name {},));
                target.extend(quote!(Self::#name {} => <Self as ::linchpin::Tagged>::__no_target(),));
            }
            Some((member, span)) => {
                // The types of what is there say how, not what the tokens of the field look like.
                into.extend(quote_spanned! {span=>
                    Self::#name { #member: __linchpin_payload } => {
                        <Self as ::linchpin::Tagged>::__pack(__linchpin_payload, #tag)
                    }
                });
                from.extend(quote! {
                    // SAFETY: the caller's promise.
                    #tag => Self::#name { #member: unsafe { <Self as ::linchpin::Tagged>::__unpack(__linchpin_word) } },
                });
                target.extend(quote! {
                    Self::#name { #member: __linchpin_payload } => <Self as ::linchpin::Tagged>::__target(__linchpin_payload),
                });
            }
        }
    }
    let name = &input.ident;
    let mut generics = input.generics.clone();
    for parameter in generics.type_params_mut() {
        parameter.bounds.push(parse_quote!(::linchpin::Trace));
        parameter.bounds.push(parse_quote!(::linchpin::Payload));
    }
    let (impl_generics, own, where_clause) = generics.split_for_impl();
    Ok(quote! {
        // SAFETY: each variant has a tag of its own and keeps its only field, from which the pointer is taken.
        #[automatically_derived]
        unsafe impl #impl_generics ::linchpin::Tagged for #name #own #where_clause {
            #[inline(always)]
            fn into_word(self) -> *mut ::core::primitive::u8 {
                match self { #into }
            }
            #[inline(always)]
            unsafe fn from_word(__linchpin_word: *mut ::core::primitive::u8) -> Self {
                match <Self as ::linchpin::Tagged>::__tag(__linchpin_word) {
                    #from
                    _ => <Self as ::linchpin::Tagged>::__no_such_tag(),
                }
            }
            #[inline(always)]
            fn target(self) -> ::core::option::Option<::core::ptr::NonNull<::core::primitive::u8>> {
                match self { #target }
            }
        }
    })
}

/// The only field of a variant, if it has one, and where its type stands.
fn only_member(fields: &Fields) -> Result<Option<(Member, Span)>, Error> {
    let mut members = fields.members();
    let first = members.next().zip(fields.iter().next().map(|field| field.ty.span()));
    if members.next().is_some() {
        return Err(Error::new_spanned(
            fields,
            "a variant of a tagged word has one field at most: put several into an object, and a `Gc` to that here",
        ));
    }
    Ok(first)
}
