//! `#[derive(Trace)]` for the `linchpin` garbage-collected heap; see `linchpin::Trace`.

mod tagged;

use proc_macro::TokenStream;
use proc_macro2::{Span, TokenStream as Tokens};
use quote::quote;
use syn::ext::IdentExt;
use syn::visit::Visit;
use syn::visit_mut::VisitMut;
use syn::{
    AngleBracketedGenericArguments, Data, DeriveInput, Error, Fields, GenericArgument, GenericParam, Generics, Ident,
    Lifetime, Path, PathArguments, PathSegment, PredicateType, QSelf, TraitBoundModifier, Type, TypeParamBound,
    TypePath, WherePredicate, parse_macro_input, parse_quote,
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

/// Derives `linchpin::Tagged` for an enum: its values fit into one word.
#[proc_macro_derive(Tagged)]
pub fn derive_tagged(input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    tagged::expand(&input).unwrap_or_else(Error::into_compile_error).into()
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
    for predicate in branded_predicates(&input.generics)? {
        generics.make_where_clause().predicates.push(predicate);
    }
    let (impl_generics, _, where_clause) = generics.split_for_impl();
    let own = own_arguments(&input.generics);
    let branded = branded_arguments(&input.generics);

    // With the brand, a value may hold pointers, whatever its fields look like. Without it a brand comes in through the type
    // parameters, or through what a parameter's traits lead to. The parameters alone are what the answer rests on: a
    // parameter that says no has no brand in it, and where no parameter has one, no field can. (An attribute below the
    // derive may change the fields afterwards, so what they look like here proves nothing.) The fields are asked as well, in
    // case a `Trace` by hand says no too easily. A field that contains the type itself cannot be asked (the answer would
    // depend on itself): it counts as a yes, as does one whose tokens do not tell.
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
    let tracer = binding("tracer");
    let inspector = binding("inspector");
    let body = for_each_field(&input.data, &quote!(trace), &tracer);
    let inspection = for_each_field(&input.data, &quote!(inspect), &inspector);
    let may_hold_pointers = brand.is_some() || !type_parameters.is_empty();
    let no_drop = may_hold_pointers.then(|| {
        quote! {
            #[automatically_derived]
            impl #impl_generics ::linchpin::MustNotImplementDrop for #name #own #where_clause {
                type Dropper = ();
            }
        }
    });
    // The trait above is found by its name, which a crate can give to one of its own. The method cannot be replaced: it is the
    // tracer's own, and the tracer's type is what `Trace` says.
    let no_drop_indeed = may_hold_pointers.then(|| quote!(#tracer.check_drop::<Self>();));
    Ok(quote! {
        // SAFETY: every field is traced; `Branded` replaces the brand and the brands within the type parameters, and
        // nothing else; a type that may hold pointers has no `Drop` of its own.
        #[automatically_derived]
        unsafe impl #impl_generics ::linchpin::Trace for #name #own #where_clause {
            type Branded<'__linchpin> = #name #branded;
            const NEEDS_TRACE: ::core::primitive::bool = false #(|| #needs_trace)*;
            #[inline]
            fn trace(&self, #tracer: &mut ::linchpin::Tracer<'_>) {
                #no_drop_indeed
                #body
            }
            fn inspect(&self, #inspector: &mut ::linchpin::Inspector<'_>) {
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

/// The type's own arguments.
fn own_arguments(generics: &Generics) -> Tokens {
    arguments(generics, |lifetime| quote!(#lifetime), |parameter| quote!(#parameter))
}

/// The type's arguments under the brand `'__linchpin`.
fn branded_arguments(generics: &Generics) -> Tokens {
    let branded = |parameter: &Ident| quote!(<#parameter as ::linchpin::Trace>::Branded<'__linchpin>);
    arguments(generics, |_| quote!('__linchpin), branded)
}

fn arguments(
    generics: &Generics,
    of_lifetime: impl Fn(&Lifetime) -> Tokens,
    of_type: impl Fn(&Ident) -> Tokens,
) -> Tokens {
    let arguments = generics.params.iter().map(|parameter| match parameter {
        GenericParam::Lifetime(parameter) => of_lifetime(&parameter.lifetime),
        GenericParam::Type(parameter) => of_type(&parameter.ident),
        // In braces: a type of the same name would be taken for what is meant.
        GenericParam::Const(parameter) => {
            let name = &parameter.ident;
            quote!({ #name })
        }
    });
    quote!(<#(#arguments),*>)
}

/// What the type asks of its parameters, asked of their branded forms too: `Branded` must be well-formed.
fn branded_predicates(generics: &Generics) -> Result<Vec<WherePredicate>, Error> {
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
    for predicate in &mut predicates {
        // `T: 'gc` has no counterpart to ask for: a branded type outlives its brand by definition.
        predicate.bounds = std::mem::take(&mut predicate.bounds)
            .into_iter()
            .filter(|bound| matches!(bound, TypeParamBound::Trait(bound) if matches!(bound.modifier, TraitBoundModifier::None)))
            .collect();
    }
    predicates.retain(|predicate| !predicate.bounds.is_empty());
    let parameters = generics.type_params().map(|parameter| Parameter::of(&parameter.ident, &predicates)).collect();
    let mut rebrand = Rebrand { parameters, error: None };
    for predicate in &mut predicates {
        rebrand.visit_predicate_type_mut(predicate);
    }
    if let Some(error) = rebrand.error {
        return Err(error);
    }
    Ok(predicates
        .into_iter()
        .map(|PredicateType { bounded_ty, bounds, .. }| parse_quote!(for<'__linchpin> #bounded_ty: #bounds))
        .collect())
}

/// Traits without associated types, which need not be asked for one.
const WITHOUT_TYPES: [&str; 13] = [
    "Trace",
    "Send",
    "Sync",
    "Copy",
    "Clone",
    "Debug",
    "Default",
    "Eq",
    "PartialEq",
    "Ord",
    "PartialOrd",
    "Hash",
    "Unpin",
];

/// A type parameter, and the traits it is bound by that may have associated types.
struct Parameter {
    name: Ident,
    traits: Vec<Path>,
}

impl Parameter {
    fn of(name: &Ident, predicates: &[PredicateType]) -> Self {
        let is_bound =
            |predicate: &&PredicateType| matches!(&predicate.bounded_ty, Type::Path(path) if path.path.is_ident(name));
        let mut traits: Vec<Path> = Vec::new();
        for bound in predicates.iter().filter(is_bound).flat_map(|predicate| &predicate.bounds) {
            let TypeParamBound::Trait(bound) = bound else { continue };
            let path = &bound.path;
            let is_known = path.segments.last().is_none_or(|last| WITHOUT_TYPES.iter().any(|name| last.ident == name));
            if !is_known && !traits.iter().any(|known| quote!(#known).to_string() == quote!(#path).to_string()) {
                traits.push(path.clone());
            }
        }
        Self { name: name.clone(), traits }
    }
}

/// Replaces the brand and the type parameters by their forms under the brand `'__linchpin`.
struct Rebrand {
    parameters: Vec<Parameter>,
    error: Option<Error>,
}

impl Rebrand {
    fn parameter(&self, name: &Ident) -> Option<&Parameter> {
        self.parameters.iter().find(|parameter| parameter.name.unraw() == name.unraw())
    }

    /// `T::Item`, whose trait the compiler finds among the bounds of `T`. It does not look for one where the branded form stands
    /// in place of `T`, so the trait must be named.
    fn associated(&mut self, whole: &TypePath, name: &Ident, item: &PathSegment) -> Type {
        let traits = self.parameter(name).map_or(&[][..], |parameter| &parameter.traits);
        let [only] = traits else {
            self.error.get_or_insert_with(|| {
                let item = &item.ident;
                let message = format!(
                    "which trait's `{item}` this is cannot be told from here: write `<{name} as TheTrait>::{item}`, with the \
                     trait that has it"
                );
                Error::new_spanned(whole, message)
            });
            return Type::Path(whole.clone());
        };
        let mut of_trait = only.clone();
        without_constraints(&mut of_trait);
        self.visit_path_mut(&mut of_trait);
        let mut item = item.clone();
        self.visit_path_segment_mut(&mut item);
        parse_quote!(<<#name as ::linchpin::Trace>::Branded<'__linchpin> as #of_trait>::#item)
    }
}

impl VisitMut for Rebrand {
    fn visit_lifetime_mut(&mut self, lifetime: &mut Lifetime) {
        if lifetime.ident == "gc" {
            *lifetime = parse_quote!('__linchpin);
        }
    }

    fn visit_type_mut(&mut self, node: &mut Type) {
        if let Type::Path(path) = node
            && let Some((name, item)) = first_of(path)
            && self.parameter(name).is_some()
        {
            *node = match item {
                None => parse_quote!(<#name as ::linchpin::Trace>::Branded<'__linchpin>),
                Some(item) => self.associated(path, name, item),
            };
            return;
        }
        syn::visit_mut::visit_type_mut(self, node);
    }
}

/// `T` and `Item` of `T::Item` or `<T>::Item`; `T` and nothing of `T`.
fn first_of(path: &TypePath) -> Option<(&Ident, Option<&PathSegment>)> {
    let mut segments = path.path.segments.iter();
    match &path.qself {
        None => Some((&segments.next()?.ident, segments.next())),
        Some(QSelf { position: 0, ty, .. }) => match &**ty {
            Type::Path(first) => Some((first.path.get_ident()?, segments.next())),
            _ => None,
        },
        Some(_) => None,
    }
}

/// Takes `Item = u8` out of `Iterator<Item = u8>`: where a trait is named for what it has, there is no place for it.
fn without_constraints(path: &mut Path) {
    let Some(PathSegment { arguments, .. }) = path.segments.last_mut() else { return };
    if let PathArguments::AngleBracketed(AngleBracketedGenericArguments { args, .. }) = arguments {
        *args = std::mem::take(args)
            .into_iter()
            .filter(|argument| {
                matches!(argument, GenericArgument::Lifetime(_) | GenericArgument::Type(_) | GenericArgument::Const(_))
            })
            .collect();
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

/// A name for a variable. A constant of the same name in scope would be taken for a pattern, whatever the hygiene, hence a
/// name that no program has.
fn binding(name: &str) -> Ident {
    Ident::new(&format!("__linchpin_{name}"), Span::call_site())
}

/// A match that binds every field and calls a method of `Trace` on each.
fn for_each_field(data: &Data, method: &Tokens, argument: &Ident) -> Tokens {
    let arm = |path: Tokens, fields: &Fields| {
        let members: Vec<_> = fields.members().collect();
        let names: Vec<Ident> = (0..members.len()).map(|index| binding(&format!("field_{index}"))).collect();
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
