// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {TcbStatus} from "./TcbStatus.sol";

enum IssuerKind {
    None,
    /// Certifies platforms (Intel's Platform CA and Processor CA).
    PckIssuer,
    /// Signs TCB info and QE identity.
    TcbSigner
}

/// @notice A certificate that the root signed. Times in unix seconds.
struct Issuer {
    IssuerKind kind;
    bool revoked;
    uint40 notAfter;
    /// Of its certificate revocation list: 0 if there is none yet, which it always is for a TCB signer.
    uint40 crlThisUpdate;
    uint40 crlNextUpdate;
}

/// @notice A certified platform.
struct Pck {
    bytes16 cpuSvn;
    bytes6 fmspc;
    bytes2 pceId;
    uint16 pceSvn;
    uint32 notAfter;
    /// Position of its issuer in the order in which issuers were added, from 1.
    uint8 issuer;
    bool revoked;
}

/// @notice What a quoting enclave must be. Times in unix seconds.
struct QeIdentity {
    bytes32 mrSigner;
    bytes16 attributes;
    bytes16 attributesMask;
    bytes4 miscSelect;
    bytes4 miscSelectMask;
    uint16 isvProdId;
    uint16 evaluation;
    uint40 issueDate;
    /// The earlier of its next update and the end of its signer's certificate; in the past if that signer was revoked.
    uint40 until;
}

/// @notice What is known of the platform that holds an attestation key.
// Returned, never stored.
// solhint-disable-next-line gas-struct-packing
struct PlatformEvidence {
    /// Position of the attestation key in the order in which keys were added, from 1.
    uint40 attestationKey;
    /// The platform, by the id of its PCK.
    bytes20 pck;
    bytes16 cpuSvn;
    uint16 pceSvn;
    /// Of the quoting enclave that holds the key.
    TcbStatus qeStatus;
    /// The lower of the evaluation numbers of TCB info and QE identity.
    uint16 evaluation;
    /// Unix seconds at which the first part of it expires.
    uint40 until;
    /// Where TDX modules and TCB levels of its FMSPC are kept: as TcbTable encodes them, in a CodeStore.
    address tcbTable;
}

/// @title DCAP collateral, authenticated by signatures up to one pinned root
/// @notice Anyone may add what the root's holder has signed; nobody can add anything else, take anything back, or put something older in the place of something newer.
/// A platform comes into use in this order: root CRL, issuers, the issuer's CRL, TCB info and QE identity, PCK certificate, attestation key.
/// @dev Certificates and CRLs are DER (PEM without its armour and Base64), JSON is the exact bytes that were signed: the value of `tcbInfo` or
/// `enclaveIdentity` in Intel's answer, without spaces added. A signature over JSON is r ‖ s, 64 bytes. A public key is x ‖ y, 64 bytes, and its id the
/// last 20 bytes of its keccak256. The id of the root is 0.
interface ICollateralRegistry {
    event IssuerAdded(bytes20 indexed issuer, IssuerKind kind, uint256 serial, uint256 notAfter);
    event IssuerRevoked(bytes20 indexed issuer);
    event CrlAdded(bytes20 indexed issuer, uint256 thisUpdate, uint256 nextUpdate, bytes32 hash);
    event PckAdded(bytes20 indexed pck, bytes20 indexed issuer, bytes6 indexed fmspc, uint256 serial, uint256 notAfter);
    event PckRevoked(bytes20 indexed pck);
    event TcbInfoAdded(
        bytes6 indexed fmspc,
        bytes2 indexed pceId,
        uint256 issueDate,
        uint256 until,
        uint256 evaluation
    );
    event QeIdentityAdded(uint256 issueDate, uint256 until, uint256 evaluation);
    event AttestationKeyAdded(bytes20 indexed key, bytes20 indexed pck, uint256 index);

    /// A root other than Intel's is for development, and this is not a development chain.
    error DevelopmentRoot(uint256 chainId);
    error InvalidSignature();
    error WrongIssuer(bytes20 issuer);
    error UnknownIssuer(bytes20 issuer);
    error RevokedIssuer(bytes20 issuer);
    /// Its basic constraints or key usage do not allow what it is to be used for.
    error WrongCertificateUse();
    error UnknownPck(bytes20 pck);
    error RevokedPck(bytes20 pck);
    error RevokedSerial(uint256 serial);
    error UnknownAttestationKey(bytes20 key);
    /// The document's time has not come, or is over. Unix seconds.
    error OutsideValidity(uint256 notBefore, uint256 notAfter);
    /// What is in place is newer. Dates in unix seconds.
    error Superseded(uint256 issueDate, uint256 currentIssueDate, uint256 evaluation, uint256 currentEvaluation);
    /// The CRL given is not the one in place, whose keccak256 is `expected`: 0 if there is none.
    error NotCurrentCrl(bytes20 issuer, bytes32 expected);
    error CrlExpired(bytes20 issuer, uint256 nextUpdate);
    error CertificateExpired(bytes20 key, uint256 notAfter);
    /// None is in place, its time is over, or its signer was revoked.
    error NoTcbInfo(bytes6 fmspc, bytes2 pceId);
    error NoQeIdentity();
    /// The quoting enclave is not what QE identity says, or was registered under an identity that changed since: `part` says where it differs.
    error WrongQuotingEnclave(bytes32 part);
    /// The QE report does not vouch for this attestation key.
    error UnboundAttestationKey(bytes20 key);
    /// The attestation key is certified by `currentPck` with SVNs that this certification by `pck` does not reach.
    error WorseCertification(bytes20 pck, bytes20 currentPck);

    /// @notice Adds or refreshes a revocation list, and revokes what is on it. `issuer` 0 is the root. Costs about 2,500 gas per entry beside its bytes.
    /// Reverts UnknownIssuer, WrongIssuer, InvalidSignature, OutsideValidity, Superseded (if older than the one in place).
    function addCrl(bytes20 issuer, bytes calldata crl) external;

    /// @notice Adds a certificate signed by the root: a CA that certifies platforms, or a signer of TCB info.
    /// @param rootCrl the root's CRL that is in place, as proof that the certificate is not on it
    /// Reverts WrongIssuer, InvalidSignature, OutsideValidity, WrongCertificateUse, NotCurrentCrl, CrlExpired, RevokedSerial, RevokedIssuer. One of the same
    /// key replaces it if it ends later.
    function addIssuer(bytes calldata certificate, bytes calldata rootCrl) external returns (bytes20 issuer);

    /// @notice Adds a platform by its PCK certificate, the first of the chain in a quote. One of the same key replaces it if it ends later.
    /// @param crl the issuer's CRL that is in place, as proof that the certificate is not on it
    /// Reverts UnknownIssuer, RevokedIssuer, CertificateExpired, WrongCertificateUse, WrongIssuer, InvalidSignature, OutsideValidity, NotCurrentCrl, CrlExpired,
    /// RevokedSerial, RevokedPck.
    function addPck(bytes calldata certificate, bytes20 issuer, bytes calldata crl) external returns (bytes20 pck);

    /// @notice Adds or refreshes the TCB info of an FMSPC for TDX (`id` "TDX", version 3).
    /// Reverts UnknownIssuer, RevokedIssuer, CertificateExpired, InvalidSignature, OutsideValidity, Superseded (issue date or evaluation number lower than in place).
    function addTcbInfo(bytes calldata tcbInfo, bytes calldata signature, bytes20 signer) external;

    /// @notice Adds or refreshes the identity of the TDX quoting enclave (`id` "TD_QE", version 2). Reverts as addTcbInfo does.
    function addQeIdentity(bytes calldata qeIdentity, bytes calldata signature, bytes20 signer) external;

    /// @notice Adds the key that a platform's quoting enclave signs quotes with, or renews it after QE identity changed.
    /// @param pckKey the platform's public key, that of the PCK certificate
    /// @param attestationKey as in the quote
    /// @param certification what the quote has after the type and size of its QE report certification data (type 6): QE report (384 bytes) ‖ signature (64) ‖
    /// length of the authentication data (2, little-endian) ‖ authentication data, and nothing of what follows
    /// Reverts UnknownPck, RevokedPck, RevokedIssuer, CertificateExpired, CrlExpired, InvalidSignature, UnboundAttestationKey, NoQeIdentity, WrongQuotingEnclave,
    /// WorseCertification.
    function addAttestationKey(
        bytes calldata pckKey,
        bytes calldata attestationKey,
        bytes calldata certification
    ) external returns (bytes20 key);

    /// @notice All that bears on a quote signed by an attestation key, if all of it is in force now.
    /// Reverts UnknownAttestationKey, RevokedPck, RevokedIssuer, CertificateExpired, CrlExpired, NoTcbInfo, NoQeIdentity, WrongQuotingEnclave.
    function evidenceOf(bytes20 attestationKey) external view returns (PlatformEvidence memory evidence);
    /// @notice As `evidenceOf`, for the attestation key that was the `index`-th added, from 1.
    function evidenceAt(uint40 index) external view returns (PlatformEvidence memory evidence);

    /// @notice The platform of the attestation key that was the `index`-th added, by the id of its PCK; 0 if there are fewer.
    function platformAt(uint40 index) external view returns (bytes20 pck);

    /// @notice The root is not Intel's: everything here is simulated.
    function development() external view returns (bool);
    /// @notice SHA-256 of the root certificate.
    function rootFingerprint() external view returns (bytes32);
    function rootKey() external view returns (bytes32 x, bytes32 y);

    /// @notice Zeros if it was never added.
    function issuerOf(bytes20 issuer) external view returns (Issuer memory);
    /// @notice keccak256 of the CRL in place (0 if there is none), and its dates in unix seconds. `issuer` 0 is the root.
    function crlOf(bytes20 issuer) external view returns (bytes32 hash, uint256 thisUpdate, uint256 nextUpdate);
    /// @notice Zeros if it was never added.
    function pckOf(bytes20 pck) external view returns (Pck memory);
    /// @notice Dates in unix seconds, zeros if it was never added; `until` is in the past if its signer was revoked.
    function tcbInfoOf(
        bytes6 fmspc,
        bytes2 pceId
    ) external view returns (uint256 issueDate, uint256 until, uint256 evaluation);
    function qeIdentity() external view returns (QeIdentity memory);
    /// @notice Position of an attestation key (from 1; 0 if it was never added), its platform, and the QE's isvsvn.
    function attestationKeyOf(bytes20 key) external view returns (uint256 index, bytes20 pck, uint256 isvSvn);
}
