// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {Crl, RevocationList} from "./Crl.sol";
import {EcdsaP256} from "./EcdsaP256.sol";
import {QeIdentity} from "./ICollateralRegistry.sol";
import {QeIdentityDocument} from "./QeIdentityDocument.sol";
import {SgxExtension} from "./SgxExtension.sol";
import {TcbInfo} from "./TcbInfo.sol";
import {Certificate, X509} from "./X509.sol";

/// @title Readers of certificates, revocation lists, TCB info and QE identity, and the check of the signatures under them
/// @notice A library deployed by itself and linked: together with the registry it would be larger than a contract may be (EIP-170). No reader checks a
/// signature: they give what is signed, and by what.
library CollateralReader {
    /// @notice Reads a certificate (DER).
    function certificate(bytes calldata der) external view returns (Certificate memory) {
        return X509.parse(der);
    }

    /// @notice Reads a PCK certificate (DER), and the platform that it is for.
    function pckCertificate(
        bytes calldata der
    ) external view returns (Certificate memory parsed, SgxExtension.Platform memory platform) {
        bytes memory document = der;
        parsed = X509.parse(document);
        platform = SgxExtension.parse(document, parsed.sgxExtension);
    }

    /// @notice Reads a revocation list (DER).
    function crl(bytes calldata der) external view returns (RevocationList memory) {
        return Crl.parse(der);
    }

    /// @notice Reads TCB info (JSON as signed).
    function tcbInfo(bytes calldata text) external pure returns (TcbInfo.Document memory) {
        return TcbInfo.parse(text);
    }

    /// @notice Reads QE identity (JSON as signed); its levels are as TcbInfo.isvLevels gives them.
    function qeIdentity(bytes calldata text) external pure returns (QeIdentity memory identity, bytes memory levels) {
        return QeIdentityDocument.parse(text);
    }

    /// @notice Whether (r, s) signs `digest` by the public key (x, y).
    function isValidSignature(bytes32 digest, bytes32 r, bytes32 s, bytes32 x, bytes32 y) external view returns (bool) {
        return EcdsaP256.isValid(digest, r, s, x, y);
    }
}
