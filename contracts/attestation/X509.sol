// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {Der, Span, span} from "./Der.sol";

/// @notice What a certificate says, and the signature under it.
// In memory only, in the order of the document.
// solhint-disable-next-line gas-struct-packing
struct Certificate {
    /// SHA-256 of what is signed.
    bytes32 digest;
    bytes32 r;
    bytes32 s;
    uint256 serial;
    /// keccak256 of the encoded names.
    bytes32 issuer;
    bytes32 subject;
    /// Unix seconds, both included.
    uint256 notBefore;
    uint256 notAfter;
    /// Its public key.
    bytes32 x;
    bytes32 y;
    bool isCa;
    /// First 8 bits of its key usage, digitalSignature being the highest.
    uint8 keyUsage;
    /// Content of Intel's SGX extension; empty if it has none.
    Span sgxExtension;
}

/// @title X.509 certificates (RFC 5280) of P-256 keys, signed by P-256 keys with SHA-256
library X509 {
    using Der for bytes;

    uint8 internal constant DIGITAL_SIGNATURE = 0x80;
    uint8 internal constant KEY_CERT_SIGN = 0x04;
    uint8 internal constant CRL_SIGN = 0x02;

    /// What AlgorithmIdentifiers contain: ecdsa-with-SHA256; id-ecPublicKey on prime256v1.
    bytes32 private constant ECDSA_WITH_SHA256 = keccak256(hex"06082a8648ce3d040302");
    bytes32 private constant P256_KEY = keccak256(hex"06072a8648ce3d020106082a8648ce3d030107");

    bytes32 private constant BASIC_CONSTRAINTS = keccak256(hex"551d13");
    bytes32 private constant KEY_USAGE = keccak256(hex"551d0f");
    /// 1.2.840.113741.1.13.1
    bytes32 private constant SGX = keccak256(hex"2a864886f84d010d01");

    uint256 private constant VERSION_3 = 2;

    error InvalidCertificate(uint256 offset);

    /// @dev Reads a certificate. Its signature is not checked here.
    function parse(bytes memory der) internal view returns (Certificate memory certificate) {
        Span body;
        (body, certificate.digest, certificate.r, certificate.s) = signed(der);

        Span part;
        (part, body) = der.next(body, 0xa0);
        require(der.toUint(der.only(part, Der.INTEGER)) == VERSION_3, InvalidCertificate(part.start()));
        (part, body) = der.next(body, Der.INTEGER);
        certificate.serial = der.toUint(part);
        body = algorithm(der, body);
        (certificate.issuer, body) = name(der, body);

        (part, body) = der.next(body, Der.SEQUENCE);
        (certificate.notBefore, part) = der.nextTime(part);
        (certificate.notAfter, part) = der.nextTime(part);
        require(part.isEmpty(), InvalidCertificate(part.start()));

        (certificate.subject, body) = name(der, body);
        (certificate.x, certificate.y, body) = _publicKey(der, body);
        // issuerUniqueID and subjectUniqueID, which could be here, are not accepted
        _readExtensions(der, der.only(der.only(body, 0xa3), Der.SEQUENCE), certificate);
    }

    /// @dev What certificates and CRLs have in common: SEQUENCE { signed part, algorithm, signature }. Gives the content of the signed part.
    function signed(bytes memory der) internal view returns (Span body, bytes32 digest, bytes32 r, bytes32 s) {
        Span outer = der.whole(Der.SEQUENCE);
        Span rest;
        (body, rest) = der.next(outer, Der.SEQUENCE);
        digest = der.sha256Of(outer.until(rest));
        rest = algorithm(der, rest);
        (r, s) = _signature(der, der.only(rest, Der.BIT_STRING));
    }

    /// @dev Passes an AlgorithmIdentifier, which has to be ecdsa-with-SHA256.
    function algorithm(bytes memory der, Span outer) internal pure returns (Span rest) {
        Span content;
        (content, rest) = der.next(outer, Der.SEQUENCE);
        require(der.keccakOf(content) == ECDSA_WITH_SHA256, InvalidCertificate(content.start()));
    }

    /// @dev keccak256 of a Name with its header: names are compared byte by byte.
    function name(bytes memory der, Span outer) internal pure returns (bytes32 hash, Span rest) {
        (, rest) = der.next(outer, Der.SEQUENCE);
        hash = der.keccakOf(outer.until(rest));
    }

    /// @dev One Extension: the hash of its identifier, whether it is critical, and the content of its value.
    function extension(
        bytes memory der,
        Span outer
    ) internal pure returns (bytes32 id, bool critical, Span value, Span rest) {
        Span content;
        (content, rest) = der.next(outer, Der.SEQUENCE);
        Span part;
        (part, content) = der.next(content, Der.OBJECT_IDENTIFIER);
        id = der.keccakOf(part);
        if (der.nextTag(content) == Der.BOOLEAN) {
            (part, content) = der.skip(content);
            // FALSE is the default, and a default is not encoded
            require(part.length() == 1 && der.byteAt(part.start()) == 0xff, InvalidCertificate(part.start()));
            critical = true;
        }
        value = der.only(content, Der.OCTET_STRING);
    }

    function _readExtensions(bytes memory der, Span extensions, Certificate memory certificate) private pure {
        bool hasConstraints;
        bool hasUsage;
        while (!extensions.isEmpty()) {
            (bytes32 id, bool critical, Span value, Span rest) = extension(der, extensions);
            if (id == BASIC_CONSTRAINTS) {
                require(!hasConstraints, InvalidCertificate(extensions.start()));
                hasConstraints = true;
                certificate.isCa = _isCa(der, value);
            } else if (id == KEY_USAGE) {
                require(!hasUsage, InvalidCertificate(extensions.start()));
                hasUsage = true;
                certificate.keyUsage = _keyUsage(der, value);
            } else if (id == SGX) {
                require(certificate.sgxExtension.isEmpty(), InvalidCertificate(extensions.start()));
                certificate.sgxExtension = der.only(value, Der.SEQUENCE);
            } else {
                require(!critical, InvalidCertificate(extensions.start()));
            }
            extensions = rest;
        }
    }

    /// BasicConstraints { cA, pathLenConstraint }. No path here is longer than the shortest constraint allows: root, issuer, leaf.
    function _isCa(bytes memory der, Span value) private pure returns (bool) {
        Span constraints = der.only(value, Der.SEQUENCE);
        if (constraints.isEmpty()) return false;
        (Span flag, Span rest) = der.next(constraints, Der.BOOLEAN);
        require(flag.length() == 1 && der.byteAt(flag.start()) == 0xff, InvalidCertificate(flag.start()));
        if (!rest.isEmpty()) der.toUint(der.only(rest, Der.INTEGER));
        return true;
    }

    function _keyUsage(bytes memory der, Span value) private pure returns (uint8) {
        Span bits = der.only(value, Der.BIT_STRING);
        // the count of unused bits, and one or two bytes of flags
        require(bits.length() == 2 || bits.length() == 3, InvalidCertificate(bits.start()));
        return uint8(der.byteAt(bits.start() + 1));
    }

    function _publicKey(bytes memory der, Span outer) private pure returns (bytes32 x, bytes32 y, Span rest) {
        Span content;
        (content, rest) = der.next(outer, Der.SEQUENCE);
        Span part;
        (part, content) = der.next(content, Der.SEQUENCE);
        require(der.keccakOf(part) == P256_KEY, InvalidCertificate(part.start()));
        part = der.only(content, Der.BIT_STRING);
        uint256 offset = part.start();
        // no unused bits, an uncompressed point
        require(part.length() == 66 && der.bigEndian(offset, 2) == 0x0004, InvalidCertificate(offset));
        x = bytes32(der.bigEndian(offset + 2, 32));
        y = bytes32(der.bigEndian(offset + 34, 32));
    }

    function _signature(bytes memory der, Span bits) private pure returns (bytes32 r, bytes32 s) {
        uint256 offset = bits.start();
        require(!bits.isEmpty() && der.byteAt(offset) == 0, InvalidCertificate(offset));
        Span pair = der.only(span(offset + 1, bits.end()), Der.SEQUENCE);
        Span part;
        (part, pair) = der.next(pair, Der.INTEGER);
        r = bytes32(der.toUint(part));
        s = bytes32(der.toUint(der.only(pair, Der.INTEGER)));
    }
}
