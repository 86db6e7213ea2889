use super::*;

const LIMITS: Limits = Limits { argument_bytes: 100, arguments: 4, request_bytes: 150, line_bytes: 32 };

fn parsed(input: &[u8]) -> Result<Option<Request<'_>>, ProtocolError> {
    parse(input, &LIMITS)
}

#[track_caller]
fn is_refused(input: &[u8], error: ProtocolError) {
    assert_eq!(parsed(input), Err(error), "{}", input.escape_ascii());
}

#[test]
fn an_array_of_bulk_strings() {
    let input = b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$5\r\na\r\nb\0\r\n";
    let request = parsed(input).unwrap().unwrap();
    assert_eq!(request.arguments, [&b"SET"[..], b"k", b"a\r\nb\0"]);
    assert_eq!(request.length, input.len());
    assert_eq!(parsed(b"*1\r\n$0\r\n\r\n").unwrap().unwrap().arguments, [b""]);
    assert_eq!(parsed(b"*0\r\n").unwrap(), Some(Request { arguments: vec![], length: 4 }));
}

#[test]
fn every_beginning_of_a_request_asks_for_more() {
    for input in [&b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$5\r\na\r\nb\0\r\n"[..], b"set k 'a b'\r\n", b"PING\n"] {
        for end in 0..input.len() {
            assert_eq!(parsed(&input[..end]), Ok(None), "{}", input[..end].escape_ascii());
        }
        assert_eq!(parsed(input).unwrap().unwrap().length, input.len());
    }
}

#[test]
fn requests_one_after_another() {
    let input = b"*1\r\n$4\r\nPING\r\nECHO x\r\n*2\r\n$3\r\nGET\r\n$1\r\nk\r\n*1\r\n$4\r\nPI";
    let mut rest = &input[..];
    let mut names = Vec::new();
    while let Some(request) = parsed(rest).unwrap() {
        names.push(request.arguments[0]);
        rest = &rest[request.length..];
    }
    assert_eq!(names, [&b"PING"[..], b"ECHO", b"GET"]);
    assert_eq!(rest, b"*1\r\n$4\r\nPI");
}

#[test]
fn lines_of_words() {
    let words = |input| parsed(input).unwrap().unwrap().arguments;
    assert_eq!(words(b"  get\t k \r\n"), [b"get", &b"k"[..]]);
    assert_eq!(words(b"set k \"two words\"\n"), [&b"set"[..], b"k", b"two words"]);
    assert_eq!(words(b"set k '' \n"), [&b"set"[..], b"k", b""]);
    assert_eq!(words(b"\r\n"), [b""; 0]);
    assert_eq!(words(b"  \n"), [b""; 0]);
    is_refused(b"set k \"open\n", ProtocolError::Quotes);
    is_refused(b"set 'k'v\n", ProtocolError::Quotes);
    is_refused(b"a b c d e\n", ProtocolError::ArgumentCount);
}

#[test]
fn what_is_no_request() {
    is_refused(b"*x\r\n", ProtocolError::ArgumentCount);
    is_refused(b"*\r\n", ProtocolError::ArgumentCount);
    is_refused(b"*-1\r\n", ProtocolError::ArgumentCount);
    is_refused(b"*+1\r\n", ProtocolError::ArgumentCount);
    is_refused(b"*1\r\n:1\r\n", ProtocolError::ExpectedBulk(b':'));
    is_refused(b"*1\r\nPING\r\n", ProtocolError::ExpectedBulk(b'P'));
    is_refused(b"*1\r\n$\r\n", ProtocolError::ArgumentLength);
    is_refused(b"*1\r\n$-1\r\n", ProtocolError::ArgumentLength);
    is_refused(b"*1\r\n$0x4\r\nPING\r\n", ProtocolError::ArgumentLength);
    is_refused(b"*1\r\n$4\r\nPINGPONG\r\n", ProtocolError::ArgumentEnd);
    is_refused(b"*1\r\n$4\r\nPING\n\n", ProtocolError::ArgumentEnd);
}

#[test]
fn lengths_above_the_limits_are_refused_before_the_bytes_are_there() {
    is_refused(b"*5\r\n", ProtocolError::ArgumentCount);
    assert_eq!(parsed(b"*4\r\n"), Ok(None));
    is_refused(b"*1\r\n$101\r\n", ProtocolError::ArgumentLength);
    assert_eq!(parsed(b"*1\r\n$100\r\n"), Ok(None));
    for huge in ["9999999999999999999", "18446744073709551615", "18446744073709551617", "99999999999999999999999"] {
        is_refused(format!("*{huge}\r\n").as_bytes(), ProtocolError::ArgumentCount);
        is_refused(format!("*1\r\n${huge}\r\n").as_bytes(), ProtocolError::ArgumentLength);
    }
    let mut input = b"*2\r\n$100\r\n".to_vec();
    input.extend([b'x'; 100]);
    input.extend(b"\r\n$50\r\n");
    is_refused(&input, ProtocolError::RequestLength);
}

#[test]
fn lines_without_end_are_refused() {
    is_refused(&[b'x'; 32], ProtocolError::LineLength);
    is_refused(&[b"*".as_slice(), &[b'1'; 40]].concat(), ProtocolError::LineLength);
    is_refused(&[b"*1\r\n$".as_slice(), &[b'1'; 40]].concat(), ProtocolError::LineLength);
    assert_eq!(parsed(&[b'x'; 31]), Ok(None));
}

/// Whatever the bytes, the parser takes no more than there are, and never panics.
#[test]
fn any_bytes() {
    let mut random = 1_u64;
    let alphabet = b"*$0123\r\n '\"x";
    for _ in 0..200_000 {
        let mut input = [0; 24];
        for byte in &mut input {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            *byte = alphabet[(random >> 33) as usize % alphabet.len()];
        }
        if let Ok(Some(request)) = parsed(&input) {
            assert!(0 < request.length && request.length <= input.len());
            assert!(request.arguments.len() <= LIMITS.arguments);
        }
    }
}
