//! `#[derive(Trace)]` for the `linchpin` garbage-collected heap; see `linchpin::Trace`.

use proc_macro::TokenStream;
use proc_macro2::TokenStream as Tokens;
use quote::quote;
use syn::ext::IdentExt;
use syn::visit::Visit;
use syn::visit_mut::VisitMut;
use syn::{
    Data, DeriveInput, Error, Fields, GenericParam, Generics, Ident, Lifetime, PredicateType, TraitBoundModifier, Type,
    TypeParamBound, WherePredicate, parse_macro_input, parse_quote,
};

/// Derives `linchpin::Trace` for a struct or an enum.
///
/// The lifetime named `'gc` is the heap's; a type without pointers needs none. A type that has it, or a type
/// parameter, may not implement `Drop`.
#[proc_macro_derive(Trace)]
pub fn derive_trace(input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    expand(&input).unwrap_or_else(Error::into_compile_error).into()
}

fn expand(input: &DeriveInput) -> Result<Tokens, Error> {
    let brand = brand_of(&input.generics)?;
    let fields = fields_of(&input.data, input)?;
    let name = &input.ident;
    let type_parameters: Vec<&Ident> = input.generics.type_params().map(|parameter| &parameter.ident).collect();

    let mut generics = input.generics.clone();
    for parameter in generics.type_params_mut() {
        parameter.bounds.push(parse_quote!(::linchpin::Trace));
    }
    for predicate in branded_predicates(&input.generics) {
        generics.make_where_clause().predicates.push(predicate);
    }
    let (impl_generics, type_generics, where_clause) = generics.split_for_impl();
    let branded = branded_arguments(&input.generics);

    // With the brand, a value may hold pointers, whatever its fields look like. Without it they come in through the type
    // parameters, or through what a parameter's traits lead to, so each parameter and each field is asked. A field that
    // contains the type itself cannot be asked (the answer would depend on itself): it counts as a yes, as does one whose
    // tokens do not tell.
    let needs_trace: Vec<Tokens> = if brand.is_some() {
        vec![quote!(true)]
    } else if type_parameters.is_empty() {
        Vec::new()
    } else {
        let of_field = |field: &&Type| {
            if may_contain_itself(field, name) {
                quote!(true)
            } else {
                quote!(<#field as ::linchpin::Trace>::NEEDS_TRACE)
            }
        };
        let of_parameter = |parameter: &&Ident| quote!(<#parameter as ::linchpin::Trace>::NEEDS_TRACE);
        type_parameters.iter().map(of_parameter).chain(fields.iter().map(of_field)).collect()
    };
    let body = for_each_field(&input.data, &quote!(trace), &quote!(tracer));
    let inspection = for_each_field(&input.data, &quote!(inspect), &quote!(inspector));
    let no_drop = (brand.is_some() || !type_parameters.is_empty()).then(|| {
        quote! {
            #[automatically_derived]
            impl #impl_generics ::linchpin::MustNotImplementDrop for #name #type_generics #where_clause {}
        }
    });
    Ok(quote! {
        // SAFETY: every field is traced; `Branded` replaces the brand and the brands within the type parameters, and
        // nothing else; a type that may hold pointers has no `Drop` of its own.
        #[automatically_derived]
        unsafe impl #impl_generics ::linchpin::Trace for #name #type_generics #where_clause {
            type Branded<'__linchpin> = #name #branded;
            const NEEDS_TRACE: bool = false #(|| #needs_trace)*;
            #[inline]
            #[allow(unused_variables, reason = "a type without fields traces nothing")]
            fn trace(&self, tracer: &mut ::linchpin::Tracer<'_>) {
                #body
            }
            #[allow(unused_variables, reason = "a type without fields has nothing to look at")]
            fn inspect(&self, inspector: &mut ::linchpin::Inspector<'_>) {
                #inspection
            }
        }
        #no_drop
    })
}

/// The lifetime `'gc`, if the type has it; any other lifetime is an error, as it could not be `'static`.
fn brand_of(generics: &Generics) -> Result<Option<Lifetime>, Error> {
    let mut brand = None;
    for parameter in generics.lifetimes() {
        if parameter.lifetime.ident == "gc" {
            brand = Some(parameter.lifetime.clone());
        } else {
            return Err(Error::new_spanned(
                &parameter.lifetime,
                "an object in a linchpin heap may have one lifetime, the heap's, which must be named `'gc`: it may \
                 outlive every other borrow",
            ));
        }
    }
    Ok(brand)
}

fn fields_of<'a>(data: &'a Data, input: &DeriveInput) -> Result<Vec<&'a Type>, Error> {
    let types = |fields: &'a Fields| fields.iter().map(|field| &field.ty);
    match data {
        Data::Struct(data) => Ok(types(&data.fields).collect()),
        Data::Enum(data) => Ok(data.variants.iter().flat_map(|variant| types(&variant.fields)).collect()),
        Data::Union(_) => Err(Error::new_spanned(
            &input.ident,
            "Trace cannot be derived for a union: which field holds the pointers is not known",
        )),
    }
}

/// The type's arguments under the brand `'__linchpin`.
fn branded_arguments(generics: &Generics) -> Tokens {
    let arguments = generics.params.iter().map(|parameter| match parameter {
        GenericParam::Lifetime(_) => quote!('__linchpin),
        GenericParam::Type(parameter) => {
            let name = &parameter.ident;
            quote!(<#name as ::linchpin::Trace>::Branded<'__linchpin>)
        }
        GenericParam::Const(parameter) => {
            let name = &parameter.ident;
            quote!(#name)
        }
    });
    quote!(<#(#arguments),*>)
}

/// What the type asks of its parameters, asked of their branded forms too: `Branded` must be well-formed.
fn branded_predicates(generics: &Generics) -> Vec<WherePredicate> {
    let mut predicates: Vec<PredicateType> = Vec::new();
    for parameter in generics.type_params() {
        let name = &parameter.ident;
        let bounds = parameter.bounds.clone();
        predicates.push(PredicateType {
            lifetimes: None,
            bounded_ty: parse_quote!(#name),
            colon_token: Default::default(),
            bounds,
        });
    }
    if let Some(clause) = &generics.where_clause {
        predicates.extend(clause.predicates.iter().filter_map(|predicate| match predicate {
            WherePredicate::Type(predicate) if predicate.lifetimes.is_none() => Some(predicate.clone()),
            _ => None,
        }));
    }
    let parameters: Vec<Ident> = generics.type_params().map(|parameter| parameter.ident.clone()).collect();
    predicates
        .into_iter()
        .filter_map(|mut predicate| {
            // `T: 'gc` has no counterpart to ask for: a branded type outlives its brand by definition.
            predicate.bounds = predicate
                .bounds
                .into_iter()
                .filter(|bound| matches!(bound, TypeParamBound::Trait(bound) if matches!(bound.modifier, TraitBoundModifier::None)))
                .collect();
            if predicate.bounds.is_empty() {
                return None;
            }
            Rebrand { parameters: &parameters }.visit_predicate_type_mut(&mut predicate);
            let PredicateType { bounded_ty, bounds, .. } = predicate;
            Some(parse_quote!(for<'__linchpin> #bounded_ty: #bounds))
        })
        .collect()
}

/// Replaces the brand and the type parameters by their forms under the brand `'__linchpin`.
struct Rebrand<'a> {
    parameters: &'a [Ident],
}

impl VisitMut for Rebrand<'_> {
    fn visit_lifetime_mut(&mut self, lifetime: &mut Lifetime) {
        if lifetime.ident == "gc" {
            *lifetime = parse_quote!('__linchpin);
        }
    }

    fn visit_type_mut(&mut self, node: &mut Type) {
        if let Type::Path(path) = node
            && path.qself.is_none()
            && let Some(first) = path.path.segments.first()
            && self.parameters.contains(&first.ident)
        {
            let name = &first.ident;
            let rest: Vec<_> = path.path.segments.iter().skip(1).collect();
            *node = if rest.is_empty() {
                parse_quote!(<#name as ::linchpin::Trace>::Branded<'__linchpin>)
            } else {
                parse_quote!(<<#name as ::linchpin::Trace>::Branded<'__linchpin>>::#(#rest)::*)
            };
            return;
        }
        syn::visit_mut::visit_type_mut(self, node);
    }
}

/// Whether a field's type names the type it is part of, or could without its tokens showing it.
fn may_contain_itself(field: &Type, name: &Ident) -> bool {
    struct Search {
        name: Ident,
        found: bool,
    }
    impl<'ast> Visit<'ast> for Search {
        fn visit_ident(&mut self, ident: &'ast Ident) {
            let ident = ident.unraw();
            self.found |= ident == self.name || ident == "Self";
        }
        fn visit_macro(&mut self, _: &'ast syn::Macro) {
            self.found = true;
        }
        fn visit_type(&mut self, node: &'ast Type) {
            self.found |= matches!(node, Type::Verbatim(_));
            syn::visit::visit_type(self, node);
        }
    }
    let mut search = Search { name: name.unraw(), found: false };
    search.visit_type(field);
    search.found
}

/// A match that binds every field and calls a method of `Trace` on each.
fn for_each_field(data: &Data, method: &Tokens, argument: &Tokens) -> Tokens {
    let arm = |path: Tokens, fields: &Fields| {
        let members: Vec<_> = fields.members().collect();
        let names: Vec<Ident> = (0..members.len()).map(|index| quote::format_ident!("field_{index}")).collect();
        quote! {
            #path { #(#members: #names,)* } => { #(::linchpin::Trace::#method(#names, #argument);)* }
        }
    };
    match data {
        Data::Struct(data) => {
            let arm = arm(quote!(Self), &data.fields);
            quote!(match self { #arm })
        }
        Data::Enum(data) if data.variants.is_empty() => quote!(match *self {}),
        Data::Enum(data) => {
            let arms = data.variants.iter().map(|variant| {
                let name = &variant.ident;
                arm(quote!(Self::#name), &variant.fields)
            });
            quote!(match self { #(#arms)* })
        }
        Data::Union(_) => Tokens::new(),
    }
}
