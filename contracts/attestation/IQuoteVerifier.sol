// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {ICollateralRegistry} from "./ICollateralRegistry.sol";
import {TcbStatus} from "./TcbStatus.sol";

/// @notice What a verified quote says.
struct Verdict {
    TcbStatus status;
    /// The lower of the evaluation numbers of the TCB info and the QE identity that it was judged by.
    uint16 evaluation;
    /// Unix seconds at which the first part of the collateral expires.
    uint40 until;
    /// Position of the attestation key in the collateral registry.
    uint40 attestationKey;
    /// The platform, by the id of its PCK.
    bytes20 pck;
    /// TEE_TCB_SVN of the report.
    bytes16 tcbSvn;
    /// keccak256(MRTD ‖ RTMR1 ‖ RTMR2 ‖ MRCONFIGID).
    bytes32 measurement;
    /// Both halves of REPORTDATA.
    bytes32 reportData;
    bytes32 freshness;
}

/// @title TDX quotes
/// @notice A quote is verified by what the collateral registry has in force now. A quote that verifies is genuine; whether its status is good enough is for the caller to say.
interface IQuoteVerifier {
    /// Neither a quote of version 4 of TDX nor one of version 5 with a TDX 1.0 or 1.5 body, by an ECDSA P-256 key. `header` is version (2) ‖ key type (2) ‖
    /// TEE type (4), `bodyDescriptor` type (2) ‖ size (4) of the body, all little-endian.
    error UnsupportedQuote(bytes8 header, bytes6 bodyDescriptor);
    /// The quoting enclave is not Intel's.
    error UnknownQeVendor(bytes16 vendor);
    error WrongQuoteLength(uint256 length, uint256 expected);
    error InvalidQuoteSignature();
    /// A debug or reserved attribute is set, the domain can be migrated, or SEPT_VE_DISABLE is not set.
    error ForbiddenTdAttributes(bytes8 attributes);
    /// A service domain is bound to the trust domain.
    error ServiceTdBound();
    error UnknownTdxModule(uint256 version);
    /// MRSIGNERSEAM or the attributes of the module are not those of its identity.
    error WrongTdxModule(uint256 version);
    /// The platform, the TDX module or the quoting enclave is below every level that Intel lists.
    error NoTcbLevel();

    /// @notice Verifies a quote.
    /// @param quote the quote from its first byte to the end of its attestation key, and nothing of what follows: 764 bytes (version 4), 770 (version 5,
    /// TDX 1.0) or 834 (version 5, TDX 1.5)
    /// Reverts with an error above, or one of ICollateralRegistry.evidenceOf.
    function verify(bytes calldata quote) external view returns (Verdict memory);

    /// @notice What a quote with this TEE_TCB_SVN by this attestation key (by position) would be judged now, signature and measurement aside. Reverts as `verify`.
    function standingOf(
        uint40 attestationKey,
        bytes16 tcbSvn
    ) external view returns (TcbStatus status, uint16 evaluation, uint40 until);

    function collateral() external view returns (ICollateralRegistry);
    /// @notice Whether the collateral has a root other than Intel's: then what it accepts is simulated.
    function development() external view returns (bool);
}
