// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

/// @title Keys that live in attested trusted execution environments
/// @notice A signer counts because this chain verified the quote of the code that holds its key; nobody's word is asked.
interface ITeeSignerRegistry {
    struct TeeSigner {
        /// keccak256(MRTD ‖ RTMR1 ‖ RTMR2 ‖ MRCONFIGID): what runs.
        bytes32 measurement;
        /// The platform's PCK, by the last 20 bytes of keccak256 of its public key: where it runs.
        bytes20 platform;
        /// X25519 public key, to encrypt to this code; 0 if it has none.
        bytes32 encryptionKey;
        /// SHA-256 of the SubjectPublicKeyInfo of its TLS key; 0 if it has none.
        bytes32 tlsKey;
        uint64 registeredAt;
        /// Unix seconds at which the registration, or something it rests on, expires.
        uint64 until;
        /// As Intel names it: 0 UpToDate, 1 SWHardeningNeeded.
        uint8 tcbStatus;
        bool revoked;
    }

    event SignerRegistered(
        address indexed signer,
        bytes32 indexed measurement,
        bytes32 encryptionKey,
        bytes32 tlsKey,
        uint64 until,
        uint8 tcbStatus
    );
    /// For ever: a revoked signer cannot register again.
    event SignerRevoked(address indexed signer);
    /// A recheck found that what the registration rests on no longer suffices. The signer may register again when it does.
    event SignerLapsed(address indexed signer);
    event MeasurementAllowed(bytes32 indexed measurement);
    event MeasurementRemoved(bytes32 indexed measurement);
    event VerifierScheduled(address indexed verifier, uint256 effectiveAt);
    event MinimumEvaluationSet(uint256 evaluation);

    error InvalidSigner();
    error InvalidVerifier(address verifier);
    error InvalidLifetime(uint256 lifetime, uint256 max);
    error MeasurementNotAllowed(bytes32 measurement);
    error MeasurementAlreadyAllowed(bytes32 measurement);
    /// REPORTDATA does not begin with the hash of this chain, this registry, the signer and its keys.
    error WrongReportData(bytes32 reportData, bytes32 expected);
    /// REPORTDATA does not end with the hash of block `number`, or that block is not among the last 256.
    error NotFresh(uint256 number);
    /// The signer has registered with a quote of this block or a later one.
    error QuoteAlreadyUsed(address signer, uint256 number);
    error TcbNotAccepted(uint8 status);
    error EvaluationTooOld(uint256 evaluation, uint256 minimum);
    error RevokedSigner(address signer);
    error UnknownSigner(address signer);
    /// Nothing is wrong with what the registration rests on.
    error StillGood(address signer);
    /// The verifier gave no answer: the call had too little gas.
    error StandingUnknown();

    /// @notice Registers, or renews, the signer that a quote proves. Anyone may send it. What the quote rests on has to be in the collateral registry of `verifier()`.
    /// The quote's REPORTDATA is reportDataOf(signer, encryptionKey, tlsKey) ‖ the hash of block `blockNumber`.
    /// @param quote the quote from its first byte to the end of its attestation key: 764 bytes (version 4), 770 (version 5, TDX 1.0) or 834 (version 5, TDX 1.5)
    /// @param blockNumber one of the last 256 blocks, and a later one than that of the registration to be renewed
    /// Reverts RevokedSigner, WrongReportData, NotFresh, QuoteAlreadyUsed, MeasurementNotAllowed, TcbNotAccepted, EvaluationTooOld, or with an error of the
    /// verifier or of its collateral registry.
    function register(
        bytes calldata quote,
        address signer,
        bytes32 encryptionKey,
        bytes32 tlsKey,
        uint256 blockNumber
    ) external returns (uint64 until);

    /// @notice Ends a registration for ever. For the signer itself, and for the guardian. A signer that never registered can be revoked, too. Reverts RevokedSigner.
    function revoke(address signer) external;

    /// @notice Ends a registration whose platform, quoting enclave, TCB status or collateral no longer suffices. Anyone may call it.
    /// Reverts UnknownSigner, or StillGood if there is no reason to.
    function recheck(address signer) external;

    /// @notice Until when (unix seconds) `signer` counts as attested, which may be in the past; 0 if it never registered, was revoked, lapsed at a recheck, or if its
    /// measurement was removed. Costs two cold reads: made to be asked at every use.
    function attestedUntil(address signer) external view returns (uint64);
    /// @notice All that was proven of `signer`; zeros if it never registered.
    function signerOf(address signer) external view returns (TeeSigner memory);
    /// @notice First half of the REPORTDATA that a signer's quote must have.
    function reportDataOf(address signer, bytes32 encryptionKey, bytes32 tlsKey) external view returns (bytes32);

    /// @notice Allows code to register. Restricted, to be given to the timelock. Reverts MeasurementAlreadyAllowed.
    function allowMeasurement(bytes32 measurement) external;
    /// @notice Stops code from registering and ends its registrations, at once. Restricted, to be given to the guardian. Reverts MeasurementNotAllowed.
    /// Allowed again later, its signers have to register again.
    function removeMeasurement(bytes32 measurement) external;
    function isAllowed(bytes32 measurement) external view returns (bool);

    /// @notice Replaces the verifier after `VERIFIER_NOTICE`. Restricted. Registrations made before go on until they end. Reverts InvalidVerifier.
    function setVerifier(address verifier_) external;
    /// @notice The verifier in use, an IQuoteVerifier.
    function verifier() external view returns (address);
    /// @notice The verifier that is to follow and since when (unix seconds) it will be in use; zeros if none is.
    function scheduledVerifier() external view returns (address verifier_, uint256 effectiveAt);
    /// @notice Refuses collateral below an evaluation number of Intel's. Restricted.
    function setMinimumEvaluation(uint256 evaluation) external;
    function minimumEvaluation() external view returns (uint256);
    /// @notice Whether the verifier in use accepts simulated evidence. Clients in production refuse such a registry.
    function development() external view returns (bool);
}
